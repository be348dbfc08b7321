"""A whole plan of runs: hyper-parameter search, seeds, failed runs, retraining; from one run to hours and dollars."""

from estimator.campaign.choice import Choice, Limits, choose
from estimator.campaign.plan import Campaign, Plan, campaign_of
from estimator.campaign.search import METHODS, Search, Trials, trials_of

__all__ = ["METHODS", "Campaign", "Choice", "Limits", "Plan", "Search", "Trials", "campaign_of", "choose", "trials_of"]
