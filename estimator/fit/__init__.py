"""Does it fit, how large can it be, and what would make it fit: `fit(profile, "l4")`."""

from estimator.fit.changes import CHANGES, Change
from estimator.fit.result import Fit, Way
from estimator.fit.search import fit

__all__ = ["CHANGES", "Change", "Fit", "Way", "fit"]
