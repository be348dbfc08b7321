"""The field's claims about cost, recomputed from our models, devices and prices; and the jobs of newcomers."""

from estimator.claims.claim import Claim, Line
from estimator.claims.newcomers import NEWCOMER_JOBS, NewcomerRow, newcomer_rows
from estimator.claims.recompute import claims

__all__ = ["NEWCOMER_JOBS", "Claim", "Line", "NewcomerRow", "claims", "newcomer_rows"]
