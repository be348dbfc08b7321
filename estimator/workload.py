"""One run's profile at the sizes that devices ask for, each size worked out once for all of them."""

from __future__ import annotations

import math
from bisect import bisect_left
from collections.abc import Callable, Hashable
from dataclasses import replace
from typing import TYPE_CHECKING, Final

from estimator.memory import Held, MemoryNeed, Overhead, Replica, held_at_peak, need_of, overhead_of, settings_of
from estimator.memory.settings import Checkpointing
from estimator.run import batch_multiple
from estimator.timing import EXECUTION, TimeSettings, predict
from hardware_db.errors import UsageError

if TYPE_CHECKING:
    from estimator.answer import Answer
    from estimator.run import TrainingRun
    from estimator.timing import TimeBreakdown
    from estimator.timing.settings import MemoryFormat
    from hardware_db import Database, Device
    from profiles.model_profile import ModelProfile
    from profiles.tables import OperationTable


Sharding = tuple[int, Checkpointing]
PLAIN: Final[Sharding] = (0, "none")
SHARDINGS: Final[tuple[Sharding, ...]] = ((1, "none"), (2, "none"), (3, "none"), (3, "full"))
"""ZeRO stage and checkpointing that make room where whole copies do not fit."""

ORDINARY_BYTES: Final = 8 * 2**30
"""Memory of a plain machine, from which the micro-batch follows where nobody says what there is."""

MORE_DEVICES: Final = tuple(2**power for power in range(1, 11))
"""Numbers of devices that are tried where one cannot hold the model."""


class Workload:
    """A training run with its profile evaluated at many micro-batches; remembers what it evaluated."""

    def __init__(self, run: TrainingRun) -> None:
        self.run = run
        self._profiles: dict[int, ModelProfile] = {}
        self._tables: dict[int, OperationTable] = {}
        self._needs: dict[tuple[Replica, Overhead], MemoryNeed] = {}
        self._rentable: tuple[Device, ...] | None = None
        self._answers: dict[Hashable, Answer] = {}
        self._held: dict[Replica, Held] = {}
        self._flops: dict[tuple[str, int], int] = {}
        self._breakdowns: dict[tuple[Device, int], TimeBreakdown] = {}

    def at(self, micro_batch_size: int) -> ModelProfile:
        """Return the profile of one micro-batch."""
        if micro_batch_size not in self._profiles:
            run = self.run
            self._profiles[micro_batch_size] = run.profile.at(
                batch_size=micro_batch_size, sequence_length=run.sequence_length
            )
        return self._profiles[micro_batch_size]

    def table(self, micro_batch_size: int) -> OperationTable:
        """Return the operations of one micro-batch as columns."""
        if micro_batch_size not in self._tables:
            self._tables[micro_batch_size] = self.run.profile.table(micro_batch_size, self.run.sequence_length)
        return self._tables[micro_batch_size]

    def breakdown(self, device: Device, micro_batch_size: int) -> TimeBreakdown:
        """Return the time of the operations of one micro-batch on one device as the framework sees it."""
        key = (device, micro_batch_size)
        if key not in self._breakdowns:
            self._breakdowns[key] = predict(self.table(micro_batch_size), device, self.settings_on(device))
        return self._breakdowns[key]

    def settings_on(self, device: Device) -> TimeSettings:
        """Return how a device runs the operations: in which software, with which layout of images."""
        layout: MemoryFormat = "channels_last" if self.run.channels_last and device.kind == "gpu" else "contiguous"
        return TimeSettings(EXECUTION.get(device.kind, "inductor" if self.run.compiled else "eager"), layout)

    def may_be_channels_last(self, device: Device, micro_batch_size: int) -> bool:
        """Whether images could be kept in channels last, are not, and what that does is known.

        A compiler lays images out by itself. What grouped convolutions take in that layout, depthwise ones apart, is
        predicted too badly to propose it: 0.9 to 1.4 of contiguous where 0.7 to 0.9 was measured.
        """
        settings, table = self.settings_on(device), self.table(micro_batch_size)
        eager = device.kind == "gpu" and settings.execution == "eager" and settings.memory_format == "contiguous"
        convolution = table.family.mask("convolution")
        grouped = convolution & (table.batch > 1) & (table.n > 1)
        return eager and bool(convolution.any()) and not bool(grouped.any())

    def need(self, replica: Replica, overhead: Overhead) -> MemoryNeed:
        """Return what a device with this overhead must hold."""
        key = (replica, overhead)
        if key not in self._needs:
            self._needs[key] = need_of(self._held_by(replica), overhead)
        return self._needs[key]

    def _held_by(self, replica: Replica) -> Held:
        # How many copies there are changes nothing but whether there are others.
        key = replica if replica.zero_stage else replace(replica, replicas=min(replica.replicas, 2))
        if key not in self._held:
            self._held[key] = held_at_peak(self.at(key.micro_batch_size), settings_of(key))
        return self._held[key]

    def remembered(self, key: Hashable, compute: Callable[[], Answer]) -> Answer:
        """Return the answer under this key, working it out the first time."""
        if key not in self._answers:
            self._answers[key] = compute()
        return self._answers[key]

    def rentable(self, database: Database) -> tuple[Device, ...]:
        """Return the devices that somebody rents out and that have the run's precision."""
        if self._rentable is None:
            ids = {offer.device for offer in database.offers()}
            self._rentable = tuple(
                device for device in database.devices() if device.id in ids and device.supports(self.run.precision)
            )
        return self._rentable

    def step_flops(self, quantity: str, replica: Replica) -> int:
        """Return "model_flops" or "executed_flops" of a step's forward and backward passes on all devices."""
        key = (quantity, replica.micro_batch_size)
        if key not in self._flops:
            totals = self.table(replica.micro_batch_size).totals(quantity)
            self._flops[key] = totals.forward + totals.backward
        return self._flops[key] * self.accumulation(replica) * replica.replicas

    def enough(self, device: Device) -> str:
        """Return in words how many devices the model fits on if its states are divided over them; empty: none do."""
        overhead, capacity = overhead_of(device.logical_device()), device.logical_device().usable_memory_bytes
        for count in MORE_DEVICES:
            replicas = count * device.logical_devices
            if capacity is None or self.run.global_batch_size % replicas:
                continue
            for replica in self.sharded(replicas, overhead, capacity):
                kept = ", full checkpointing" if replica.checkpointing == "full" else ""
                return f"{count} × {device.id} with states divided (ZeRO {replica.zero_stage}{kept})"
        return ""

    def accumulation(self, replica: Replica) -> int:
        """Return the forward and backward passes of one step."""
        return self.run.global_batch_size // (replica.replicas * replica.micro_batch_size)

    def replica(
        self, replicas: int, overhead: Overhead, capacity_bytes: int | None, sharding: Sharding = PLAIN
    ) -> Replica:
        """Return how one of `replicas` runs: with the micro-batch asked for, or the largest that fits.

        What fits is what does so at the upper end of the range: nine times in ten. Where nothing fits, the smallest
        comes back; a capacity that is unknown (a CPU that nobody rents out) is taken to be `ORDINARY_BYTES`.

        Raises
        ------
        UsageError
            the global batch does not divide over the replicas and micro-batches
        """
        share = self.samples_each(replicas)
        given = self.run.micro_batch_size
        choices = [
            Replica(size, size < share, replicas, *sharding)
            for size in ([given] if given else self._micro_batches(share))
        ]
        room = ORDINARY_BYTES if capacity_bytes is None else capacity_bytes
        first = bisect_left(choices, True, key=lambda c: self.need(c, overhead).total.high <= room)
        return choices[min(first, len(choices) - 1)]

    def sharded(self, replicas: int, overhead: Overhead, capacity_bytes: int) -> list[Replica]:
        """Return how one of several replicas runs with states divided over all, each way in which it fits."""
        found = []
        for sharding in SHARDINGS if replicas > 1 else ():
            try:
                replica = self.replica(replicas, overhead, capacity_bytes, sharding)
                fits = self.need(replica, overhead).total_bytes <= capacity_bytes
            except UsageError:  # checkpointing needs repeated layers
                continue
            found += [replica] if fits else []
        return found

    def samples_each(self, replicas: int, name: str = "replica") -> int:
        """Return the samples of a step that each replica (or what `name` calls it) puts through.

        Raises
        ------
        UsageError
            the global batch leaves a remainder
        """
        batch, micro = self.run.global_batch_size, self.run.micro_batch_size or 1
        unit = replicas * micro
        if batch % unit:
            sized = f" × micro-batch {micro}" if micro > 1 else ""
            lower, upper = batch // unit * unit, -(-batch // unit) * unit
            nearest = upper if not lower or upper - batch <= batch - lower else lower
            over = f"{replicas} {name}{'s' * (replicas > 1)}{sized}"
            raise UsageError(f"batch size {batch} over {over} leaves a remainder. Nearest: {nearest}")
        return batch // replicas

    def _micro_batches(self, share: int) -> list[int]:
        """Divisors of a replica's share at which the profile holds, largest first."""
        profile = self.run.profile
        unit = batch_multiple(profile)
        single = profile.trace.single is not None
        sizes = [size for size in divisors(share) if size % unit == 0 or (size == 1 and single)]
        if not profile.trace.recording.batch_multiple:
            sizes = [size for size in sizes if size == unit]
        if not sizes:
            raise UsageError(
                f"the profile of {profile.model} holds for multiples of batch {unit} only, none of which divides the "
                f"{share} samples of a device. Choose another batch size, or profile the model with a smaller one"
            )
        return sizes


def divisors(number: int) -> list[int]:
    """Return all divisors, largest first.

    Examples
    --------
    >>> divisors(12)
    [12, 6, 4, 3, 2, 1]
    """
    small = [size for size in range(1, math.isqrt(number) + 1) if number % size == 0]
    return sorted({*small, *(number // size for size in small)}, reverse=True)
