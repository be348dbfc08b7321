"""A whole plan of runs: hyper-parameter search, seeds, failed runs, retraining; from one run to hours and dollars."""

from estimator.campaign.plan import Campaign, Plan, campaign_of
from estimator.campaign.search import METHODS, Search, Trials, trials_of

__all__ = ["METHODS", "Campaign", "Plan", "Search", "Trials", "campaign_of", "trials_of"]
