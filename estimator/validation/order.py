"""Which of two devices is faster for a job: how often predictions of both, each unseen by the fit, say so rightly."""

from __future__ import annotations

import hashlib
from collections import defaultdict
from collections.abc import Iterable
from itertools import combinations
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from estimator.validation.accuracy import LeftOutCase
    from estimator.validation.cases import Case


def job_of(case: Case) -> str:
    """Return a short text that is equal for cases that run the same: model, precision, length, and what of a step.

    Batches differ, since every device takes what it holds: devices are compared by samples a second.
    """
    what = f"{case.stratum} {case.model} {case.precision} {case.sequence_length} {case.image_size} {case.scope}"
    return hashlib.blake2s(what.encode(), digest_size=4).hexdigest()


def right_order(cases: Iterable[LeftOutCase]) -> tuple[int, int]:
    """Return how many pairs of cases (a job on two devices) are predicted in the right order, and how many there are.

    Cases without a number of samples, and pairs that were measured to be equal, are no pairs.
    """
    jobs: dict[str, list[LeftOutCase]] = defaultdict(list)
    for case in cases:
        if case.samples:
            jobs[case.job].append(case)
    right = count = 0
    for alike in jobs.values():
        for one, other in combinations(alike, 2):
            measured = one.samples / one.measured_s - other.samples / other.measured_s
            if one.device != other.device and measured:
                count += 1
                right += measured * (one.samples / one.predicted_s - other.samples / other.predicted_s) > 0
    return right, count
