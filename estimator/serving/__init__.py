"""Running a trained model: latency, throughput, memory and the price of a prediction or a token, per device."""

from estimator.serving.lifetime import Lifetime, lifetime_of
from estimator.serving.predictions import Serving, predictions_on
from estimator.serving.writing import Dialogue, Writing, writing_on

__all__ = ["Dialogue", "Lifetime", "Serving", "Writing", "lifetime_of", "predictions_on", "writing_on"]
