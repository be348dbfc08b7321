"""One benchmark of one device: all cases within a time, and what disturbed them."""

from __future__ import annotations

import os
import statistics
import time
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Literal

from profiles.benchmark.cases import Case
from profiles.benchmark.catalogue import PRECISIONS, cases, ground
from profiles.benchmark.clock import Call
from profiles.benchmark.conditions import (
    Drift,
    HostTimes,
    change_remarks,
    load_remarks,
    start_remarks,
    steadiness_remarks,
)
from profiles.benchmark.fitting import fit_figures
from profiles.benchmark.gpu_state import look, remarks
from profiles.benchmark.precisions import tf32, usable_precisions
from profiles.benchmark.sampling import TOLERANCE, Effort, Sample, sample
from profiles.machine_profile import MachineProfile, Timing
from profiles.records import Operation

if TYPE_CHECKING:
    from profiles.benchmark.target import Target

BUDGET_S = {"quick": 45.0, "full": 240.0}
_SETTLE_BYTES = 31 << 20
LEAST_S = 0.02
MOST_PASSES = 8
"""Over all cases: between them the speed of a shared machine changes, and only their mean says what one may expect."""


@dataclass(frozen=True, slots=True)
class Plan:
    """What is wanted: how thorough, in which precisions (empty: all that the device has), within how many seconds."""

    mode: Literal["quick", "full"] = "quick"
    precisions: tuple[str, ...] = ()
    budget_s: float | None = None

    @property
    def seconds(self) -> float:
        """The time for all cases."""
        return BUDGET_S[self.mode] if self.budget_s is None else self.budget_s


@dataclass(frozen=True, slots=True)
class Progress:
    """Where a benchmark is: case `done` of `total` is next; `latest` is the last finished timing."""

    done: int
    total: int
    name: str
    seconds_left: float
    latest: Timing | None = None


OnProgress = Callable[[Progress], None]


@dataclass
class _Journal:
    """What was measured so far, case by case; `changes` are ratios of the times of one pass to those before it."""

    timings: dict[str, Timing] = field(default_factory=dict)
    samples: dict[str, Sample] = field(default_factory=dict)
    notes: list[str] = field(default_factory=list)
    complete: bool = True
    left_out: int = 0
    before: HostTimes = field(default_factory=HostTimes.now)
    changes: list[float] = field(default_factory=list)

    @property
    def latest(self) -> Timing | None:
        """The timing that was added or renewed last."""
        return next(reversed(self.timings.values()), None)

    def add(self, timing: Timing, taken: Sample) -> None:
        """Keep a timing; repeats of one that is known are added to it."""
        known, readings = self.timings.pop(timing.name, None), self.samples.get(timing.name)
        if known is None or readings is None:
            self.timings[timing.name], self.samples[timing.name] = timing, taken
            return
        self.changes.append(timing.typical_s / known.typical_s)
        self.timings[timing.name] = replace(
            timing,
            seconds=known.seconds + timing.seconds,
            wall_seconds=known.wall_seconds + timing.wall_seconds,
            stable=known.stable and timing.stable,
        )
        self.samples[timing.name] = replace(
            taken, readings=readings.readings + taken.readings, slow_start=readings.slow_start
        )


def measure(target: Target, plan: Plan, on_progress: OnProgress = lambda progress: None) -> MachineProfile:
    """Time a device. Interrupted by Ctrl-C, what is there is returned, and a note says so.

    Raises
    ------
    KeyboardInterrupt
        If nothing was measured yet.
    """
    journal = _Journal()
    target.make_current()
    _settle(target)
    precisions, left_out = usable_precisions(target, plan.precisions, PRECISIONS[target.lab.kind])
    journal.notes += left_out
    chosen = cases(target.lab.kind, plan.mode == "full", precisions)
    try:
        _run(target, chosen, plan, journal, on_progress)
    except KeyboardInterrupt:
        if not journal.timings:
            raise
        journal.notes.append(f"interrupted after {len(journal.timings)} of {len(chosen)} cases")
        journal.complete, journal.left_out = False, len(chosen) - len(journal.timings)
    timings = tuple(journal.timings[case.name] for case in chosen if case.name in journal.timings)
    return MachineProfile(
        machine=target.machine,
        recorded_at=datetime.now(UTC).isoformat(timespec="seconds"),
        mode=plan.mode,
        timings=timings,
        figures=fit_figures(target.lab.kind, timings),
        notes=(*((target.note,) if target.note else ()), *journal.notes, *_disturbances(journal, plan.mode)),
        complete=journal.complete,
        left_out=journal.left_out,
    )


def _run(target: Target, chosen: Sequence[Case], plan: Plan, journal: _Journal, on_progress: OnProgress) -> None:
    """Time all cases; and again, while time is left and the passes do not agree."""
    deadline = time.monotonic() + plan.seconds
    place = 0
    while place < MOST_PASSES * len(chosen):
        case, again = chosen[place % len(chosen)], place >= len(chosen)
        left = deadline - time.monotonic()
        if left <= 0 and place and (again or not ground(case, target.lab.kind)):
            break
        on_progress(Progress(place, max(place + 1, len(chosen)), case.name, max(left, 0.0), journal.latest))
        remaining = len(chosen) - place % len(chosen)
        _record(target, case, _effort(target, max(LEAST_S, left / remaining), first=place == 0), journal)
        place += 1
        if place % len(chosen) == 0 and (place > len(chosen) and settled(journal.changes[-len(chosen) :])):
            break
    if place < len(chosen):
        journal.left_out = len(chosen) - place
        journal.notes.append(_time_was_up(chosen, place, journal))
    else:
        _look_again(target, chosen[0], journal)


def _time_was_up(chosen: Sequence[Case], place: int, journal: _Journal) -> str:
    """Say what there was no time for: families of which nothing was timed by name, and the remedy."""
    timed = {timing.family for timing in journal.timings.values()}
    untimed = dict.fromkeys(case.family for case in chosen[place:] if case.family not in timed)
    nothing = f", all of {', '.join(untimed)}" if untimed else ""
    left_out = len(chosen) - place
    return f"time was up: {left_out} of {len(chosen)} cases were left out{nothing}; --seconds N gives it more"


def settled(changes: Sequence[float]) -> bool:
    """Whether a pass said the same as those before it: in the median its times differ by less than the tolerance.

    >>> settled([1.01, 0.99, 1.0]), settled([1.3, 1.2, 1.0])
    (True, False)
    """
    return statistics.median(abs(change - 1) for change in changes) <= TOLERANCE if changes else True


def _effort(target: Target, seconds: float, first: bool) -> Effort:
    if target.lab.kind == "cpu":
        return Effort(seconds=seconds, warm_up_s=0.1 if first else 0.0)
    return Effort(seconds=seconds, repeat_s=5e-3, warm_up_s=1.0 if first else 0.02)


def _record(target: Target, case: Case, effort: Effort, journal: _Journal) -> None:
    """Time a case; one that this device cannot do, or has no memory for, is named instead."""
    try:
        timing, taken = time_case(target, case, effort)
    except (RuntimeError, NotImplementedError, MemoryError) as error:  # torch's ways to say no
        journal.notes.append(f"{case.name} was left out: {str(error).splitlines()[0][:160]}")
        return
    journal.add(timing, taken)


def time_case(target: Target, case: Case, effort: Effort) -> tuple[Timing, Sample]:
    """Time one case and describe what ran."""
    lab = target.lab
    with tf32(lab.torch, case.precision == "tf32"):
        calls = [case.make(lab) for _ in range(case.variants(lab))]
        taken = sample(calls, target.clock(case.timer), effort)
        operations = _operations(calls[0], case)
    inside = case.calls_inside
    timing = Timing(
        name=case.name,
        family=case.family,
        precision=case.precision,
        seconds=tuple(each / inside for each in taken.seconds),
        wall_seconds=tuple(each / inside for each in taken.wall_seconds),
        flops=case.flops or sum(op.executed_flops * op.count for op in operations) // inside,
        moved_bytes=case.moved_bytes or sum(op.bytes_moved * op.count for op in operations) // inside,
        operations=operations,
        stable=taken.stable,
    )
    return (replace(timing, flops=0, moved_bytes=0) if case.family == "launch" else timing), taken


def _operations(call: Call, case: Case) -> tuple[Operation, ...]:
    """Return what ran below a case; what a whole step runs is in the profile of its model."""
    from profiles.benchmark.observed import operations_of

    if case.family == "training step":
        return ()
    return operations_of(call, case.precision, optimizing=case.family == "optimizer")


def _settle(target: Target) -> None:
    """Bring the C library's allocator into the state of a program that trains: it keeps blocks up to 32 MiB."""
    if target.lab.kind == "cpu":
        block = target.lab.torch.ones(_SETTLE_BYTES // 4)
        del block


def _look_again(target: Target, case: Case, journal: _Journal) -> None:
    """Time the first case once more, and look at a card while it works: an idle one clocks down within a second."""
    first = journal.timings.get(case.name)
    if first is None:
        return
    with ThreadPoolExecutor(1) as beside:
        looked = beside.submit(look, target.smi_id, os.getpid()) if target.lab.kind == "gpu" else None
        again, _ = time_case(target, case, Effort(0.5))
        while looked is not None and not looked.done():
            time_case(target, case, Effort(0.2))
    journal.notes += Drift(min(first.seconds), min(again.seconds)).remarks()
    journal.notes += [] if looked is None else remarks(looked.result())


def _disturbances(journal: _Journal, mode: str) -> list[str]:
    pairs = [(timing, journal.samples[name]) for name, timing in journal.timings.items()]
    products = [taken for timing, taken in pairs if timing.family == "matmul"]
    return [
        *load_remarks([taken for timing, taken in pairs if timing.family != "launch"]),
        *HostTimes.now().remarks(journal.before),
        *start_remarks(products[:1]),
        *change_remarks(journal.changes),
        *steadiness_remarks(tuple(journal.timings.values()), full=mode == "full"),
    ]
