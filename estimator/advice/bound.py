"""What a run takes at the very least somewhere: what others have beaten by then needs no prediction."""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache
from typing import TYPE_CHECKING, Final

import numpy as np

from estimator.advice.candidates import Block, Floats, pareto
from estimator.answer import Answer
from estimator.cost import rent
from estimator.energy import LEAST_SHARE, energy_kwh
from estimator.ranges import ZERO, Range
from estimator.whole_run.run_time import before_training
from hardware_db.errors import UnknownPrecision

if TYPE_CHECKING:
    from estimator.advice.shelf import Shelf
    from estimator.parallel.network import Network
    from estimator.workload import Workload
    from profiles.model_profile import ModelProfile

HOUR_S: Final = 3600.0

SUPERLINEAR: Final = 0.6
"""More devices do not finish in less than this share of the time that they would if each were as fast as before: what
room for more samples at once, and without full checkpointing, gains is below."""


@dataclass(frozen=True, eq=False)
class Way:
    """So many devices in one network, and the offers that have them."""

    work: Workload
    count: int
    network: Network
    shelf: Shelf

    @property
    def least(self) -> Floats:
        """Seconds, dollars and kilograms of CO2 that it takes with every product at the device's peak, (3,).

        Nothing else of a step is counted, so that no prediction is below it; infinite where the power is unknown.
        """
        shelf = self.shelf
        seconds = self._training_s() + self._before_s()
        instances = -(-self.count // shelf.device_count)
        usd = float((instances * shelf.usd_per_hour).min()) * seconds / HOUR_S
        power = None if shelf.device.tdp_w is None else Range.exactly(shelf.device.tdp_w * LEAST_SHARE)
        energy = energy_kwh(power, self.count, Range.exactly(seconds)) if power else None
        kg = np.inf if energy is None else energy.mid * float(shelf.kg_per_kwh.min())
        return np.array([seconds, usd, kg])

    def _training_s(self) -> float:
        run, device = self.work.run, self.shelf.device
        try:
            peak = device.peak_flops_per_s(run.precision)
        except UnknownPrecision:
            return 0.0
        flops = _product_flops(run.profile, run.sequence_length) * run.global_batch_size * run.total_steps
        return flops / (self.count * peak)

    def _before_s(self) -> float:
        run, shelf = self.work.run, self.shelf
        if run.overheads is None:
            return 0.0
        parts = before_training(run, Answer(shelf.device, self.count), rent(shelf.offers[0], self.count))
        return sum((part.seconds for part in parts), ZERO).mid


@lru_cache(maxsize=64)
def _product_flops(profile: ModelProfile, sequence_length: int | None) -> float:
    """Return the FLOPs that one sample's products really carry out, forward and backward."""
    table = profile.table(profile.batch_size, sequence_length)
    totals = table.totals("executed_flops", table.engine.mask("matrix"))
    return (totals.forward + totals.backward) / profile.batch_size


class Beaten:
    """What is known by now: what nine in ten runs keep to somewhere, and how fast each device has been."""

    def __init__(self) -> None:
        self._ends: Floats = np.empty((0, 3))
        self._seconds: dict[str, tuple[int, float]] = {}

    def add(self, way: Way, block: Block) -> None:
        """Add a way that was worked out; of high ends those that others are below in everything are of no use."""
        ends = np.nan_to_num(block.columns[:, 2::3], nan=np.inf)
        known = np.any(np.all(self._ends[None] <= ends[:, None], axis=2), axis=1)
        if not known.all():
            together = np.vstack([self._ends, ends[~known]])
            self._ends = together[pareto(together)]
        seconds = way.count * float(block.columns[:, 1].min())
        self._seconds.setdefault(way.shelf.device.id, (way.count, seconds))

    def __call__(self, way: Way, least: Floats) -> bool:
        """Return whether something is better in everything, even at its high end."""
        return bool((self._ends <= least * self._tighter(way, least)).all(axis=1).any())

    def _tighter(self, way: Way, least: Floats) -> float:
        """Return by what the least grows where fewer of the same devices have been worked out."""
        count, seconds = self._seconds.get(way.shelf.device.id, (way.count + 1, 0.0))
        return 1.0 if count > way.count else max(1.0, SUPERLINEAR * seconds / way.count / least[0])
