"""What to rent: all devices, counts, strategies and offers, the wishes of whoever pays, one recommendation."""

from estimator.advice.advise import advise
from estimator.advice.result import Advice
from estimator.advice.wishes import Wishes

__all__ = ["Advice", "Wishes", "advise"]
