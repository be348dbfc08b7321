"""Does it fit, how large can it be, and what would make it fit: `fit(profile, "l4")`."""

from estimator.fit.changes import CHANGES, Change
from estimator.fit.cheapest import CheapestBlocks, cheapest_blocks
from estimator.fit.result import Fit, Way
from estimator.fit.search import fit
from estimator.fit.writing import WritingFit, fit_generation

__all__ = [
    "CHANGES",
    "Change",
    "CheapestBlocks",
    "Fit",
    "Way",
    "WritingFit",
    "cheapest_blocks",
    "fit",
    "fit_generation",
]
