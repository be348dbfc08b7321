"""Which split of a training step over many devices is fastest, and how far more devices pay.

from estimator.plan import Job, search

search(Job(profile, device, network, stack, count=512, global_batch_size=512)).best
"""

from estimator.plan.job import Job
from estimator.plan.scaling import Point, Scaling, scaling_of
from estimator.plan.search import Found, Plan, search

__all__ = ["Found", "Job", "Plan", "Point", "Scaling", "scaling_of", "search"]
