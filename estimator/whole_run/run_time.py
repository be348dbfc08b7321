"""The parts of a run's wall-clock time, in the order in which they are met."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from estimator.ranges import ZERO, Range
from estimator.whole_run.assumptions import Name, assumption
from estimator.whole_run.interruptions import (
    Hazard,
    best_interval_s,
    expected_s,
    failures_of,
    preemptions_of,
    together,
)
from estimator.whole_run.overheads import NEVER, Overheads
from hardware_db.units import format_bytes, format_duration

if TYPE_CHECKING:
    from estimator.answer import Answer
    from estimator.cost import Rental
    from estimator.run import TrainingRun

GIVEN = "given"
USUAL_MACHINE = 8
"""Devices of a machine where a device's are not known."""
ENDS = ("low", "mid", "high")


@dataclass(frozen=True, slots=True)
class Part:
    """One part of the run time: seconds, how they come about, who says so, and the option that changes it.

    `tell` and `name_source` write `numbers` and `source` when somebody asks: of ten thousand runs one is shown.
    """

    name: str
    seconds: Range
    tell: Callable[[], str]
    name_source: Callable[[], str]
    option: str

    @property
    def numbers(self) -> str:
        """How the seconds come about."""
        return self.tell()

    @property
    def source(self) -> str:
        """Who says so."""
        return self.name_source()


@dataclass(frozen=True, slots=True)
class RunTime:
    """Wall-clock time of a whole run.

    Attributes
    ----------
    parts
        in the order in which they are met; "training" is all training steps
    interval_s, checkpoint_bytes
        time between checkpoints and the size of one
    stops
        expected interruptions of the whole run
    hazards
        what interrupts it
    stalled
        whether steps wait for data
    """

    parts: tuple[Part, ...]
    interval_s: float = math.inf
    checkpoint_bytes: float = 0.0
    stops: Range = ZERO
    hazards: tuple[Hazard, ...] = field(default=())
    stalled: bool = False

    @property
    def total(self) -> Range:
        """All parts together [s]."""
        return sum((part.seconds for part in self.parts), ZERO)

    def seconds(self, name: str) -> Range:
        """Return one part [s]; zero where the run has none of this name."""
        return next((part.seconds for part in self.parts if part.name == name), ZERO)


def whole_run_time(run: TrainingRun, found: Answer, rental: Rental | None) -> RunTime:
    """Return the wall-clock time of a run whose step is known.

    Without `run.overheads` it is the training steps alone.
    """
    assert found.step is not None
    step, overheads = found.step.total, run.overheads
    training = Part(
        "training",
        tuned(step) * run.total_steps if overheads and run.mfu is None else step * run.total_steps,
        lambda: f"{run.total_steps:,} steps of {format_duration(step.mid)}; the last one counted in full",
        lambda: "the predicted step",
        "--tokens, --mfu",
    )
    if overheads is None:
        return RunTime((training,))
    before = before_training(run, found, rental)
    work = [training, *_stall(run, overheads, training.seconds), *_evaluation(run, overheads, found)]
    return _interrupted(_State(run, overheads, found, rental), before, work)


def tuned(step: Range) -> Range:
    """Return the range of a step in a whole run: its software may be tuned further than what steps were measured with.

    Ranges of steps hold 80 % of steps, but of published whole runs only six in ten: teams that publish a run have made
    it fast. What a tuned run gains is independent of the error of the step.
    """
    return step.times_independent(assumption("software").range)


@dataclass(frozen=True, slots=True)
class _State:
    """What decides checkpoints and interruptions."""

    run: TrainingRun
    overheads: Overheads
    found: Answer
    rental: Rental | None

    @property
    def hazards(self) -> list[Hazard]:
        """What stops the run."""
        failures = failures_of(self.found.device, self.found.count, self.overheads.device_hours_between_failures)
        rented = preemptions_of(self.rental.offer, self.rental.instances) if self.rental else None
        return [failures] + ([rented] if rented else [])

    @property
    def checkpoint_bytes(self) -> float:
        """Parameters that are trained (adapters alone, of LoRA) and optimizer states, one copy of the model's."""
        profile = self.run.profile
        trained = profile.memory.parameter_bytes * (profile.trainable_parameters / max(1, profile.parameters))
        return self.overheads.checkpoint_bytes or trained + profile.memory.optimizer_state_bytes

    @property
    def step_s(self) -> float:
        """Seconds of a step: nothing is saved in the midst of one."""
        assert self.found.step is not None
        return self.found.step.total.mid

    @property
    def writers(self) -> int:
        """Machines that write a checkpoint side by side: all where states are divided, else those of one copy."""
        assert self.found.step is not None
        device, split = self.found.device, self.found.step.split
        usual = -(-self.found.count // (device.devices_per_host or USUAL_MACHINE))
        machines = self.rental.instances if self.rental else usual
        return machines if split.zero_stage else -(-machines // split.data_parallel)

    @property
    def write_s(self) -> Range:
        """Seconds of one checkpoint."""
        if self.overheads.storage_bytes_per_s is not None:
            return Range.exactly(self.checkpoint_bytes / self.overheads.storage_bytes_per_s)
        rate = assumption("storage").range * self.writers
        return Range(*(self.checkpoint_bytes / each for each in (rate.high, rate.mid, rate.low)))


def before_training(run: TrainingRun, found: Answer, rental: Rental | None) -> list[Part]:
    """Return what comes before the first step of a run that has overheads."""
    overheads = run.overheads or Overheads()
    compiled = run.compiled or found.device.kind == "tpu"
    parts = [_assumed("provisioning", overheads.provisioning_s, "--provisioning")] if rental else []
    parts.append(_assumed("startup", overheads.startup_s, "--startup"))
    return [*parts, _assumed("compile", overheads.compile_s, "--compile-time")] if compiled else parts


def _assumed(name: Name, given: float | None, option: str) -> Part:
    title = {"startup": "start-up", "compile": "compilation"}.get(name, name)
    if given is not None:
        return Part(title, Range.exactly(given), lambda: format_duration(given), _given, option)
    found = assumption(name)
    return Part(title, found.range, lambda: f"{format_duration(found.range.mid)} assumed", lambda: found.told, option)


def _given() -> str:
    return GIVEN


def _stall(run: TrainingRun, overheads: Overheads, training: Range) -> list[Part]:
    """Steps that wait for data: loading runs beside computing, so only what is longer counts."""
    rate = overheads.data_samples_per_s
    if rate is None:
        return []
    loading = run.total_steps * run.global_batch_size / rate
    # Slow steps wait least: each end goes with that end of the steps, so that both add up to the longer of the two.
    waiting = Range(*(max(0.0, loading - getattr(training, end)) for end in ENDS))
    return [Part("data stalls", waiting, lambda: f"{rate:,.0f} samples/s beside the steps", _given, "--data-rate")]


def _evaluation(run: TrainingRun, overheads: Overheads, found: Answer) -> list[Part]:
    """Forward passes at the batch of training, by the forward pass's share of the step."""
    if overheads.eval_every_steps is None or overheads.eval_samples is None:
        return []
    assert found.step is not None
    times = run.total_steps // overheads.eval_every_steps
    batches = math.ceil(overheads.eval_samples / run.global_batch_size)
    share = found.step.forward.mid / found.step.device.mid
    seconds = found.step.total * (times * batches * share)
    return [
        Part(
            "evaluation",
            seconds,
            lambda: f"{times:,} times {batches:,} batches, {share:.0%} of a step each",
            lambda: "the predicted forward pass",
            "--eval-every, --eval-samples",
        )
    ]


def _interrupted(state: _State, before: list[Part], work: list[Part]) -> RunTime:
    """Add what saving and being stopped take to the work."""
    overheads, hazards = state.overheads, state.hazards
    busy, write, between = sum((part.seconds for part in work), ZERO), state.write_s, together(hazards)
    wanted = overheads.checkpoint_every_s or best_interval_s(write.mid, between.mid)
    interval = min(max(wanted, state.step_s), busy.mid)
    restart = assumption("restart").range if overheads.restart_s is None else Range.exactly(overheads.restart_s)
    saving = Range(*(_saves(getattr(busy, end), interval) * getattr(write, end) for end in ENDS))
    expected = Range(
        expected_s(busy.low, interval, write.low, restart.low, between.high),
        expected_s(busy.mid, interval, write.mid, restart.mid, between.mid),
        expected_s(busy.high, interval, write.high, restart.high, between.low),
    )
    lost = Range(*(_lost(expected, busy + saving, end) for end in ENDS))
    stops = Range(*(getattr(expected, end) / b for end, b in _ends(between)))
    parts = (*before, *work, _checkpoints(state, interval, saving), _stops(hazards, stops, lost, restart))
    return RunTime(parts, interval, state.checkpoint_bytes, stops, tuple(hazards), stalled=_stalled(work))


def _saves(busy_s: float, interval_s: float) -> float:
    return busy_s / min(interval_s, busy_s)


def _ends(between: Range) -> list[tuple[str, float]]:
    return [("low", between.high), ("mid", between.mid), ("high", between.low)]


def _lost(expected: Range, undisturbed: Range, end: str) -> float:
    return max(0.0, float(getattr(expected, end)) - float(getattr(undisturbed, end)))


def _checkpoints(state: _State, interval: float, saving: Range) -> Part:
    given = state.overheads

    def tell() -> str:
        every = "given" if given.checkpoint_every_s else "Young and Daly's best"
        size, seconds = format_bytes(state.checkpoint_bytes), format_duration(state.write_s.mid)
        by = f" by {state.writers:,} machines" if state.writers > 1 and not given.storage_bytes_per_s else ""
        return f"{size} in {seconds}{by} every {format_duration(interval)} ({every})"

    def storage() -> str:
        return GIVEN if given.storage_bytes_per_s else assumption("storage").told

    return Part("checkpoints", saving, tell, storage, "--checkpoint-every, --storage-bandwidth")


def _stops(hazards: list[Hazard], stops: Range, lost: Range, restart: Range) -> Part:
    def tell() -> str:
        causes = " and ".join(each.cause for each in hazards)
        each = f"{format_duration(restart.mid)} and the work since the last save each"
        return f"{stops.mid:.2g} {causes} expected, {each}"

    def source() -> str:
        return "; ".join(f"{each.cause}: {each.source}" for each in hazards)

    return Part("interruptions", lost, tell, source, "--mtbf, --restart-time")


def refusal(run: TrainingRun, whole: RunTime) -> str | None:
    """Return why nobody should start this run: it saves nothing and is more likely than not to be stopped.

    Stops come at random, so a run of W seconds ends undisturbed with probability exp(-W / M): half at W = M ln 2.
    """
    if run.overheads is None or run.overheads.checkpoint_every_s != NEVER or not whole.hazards:
        return None
    work, between = whole.interval_s, together(list(whole.hazards)).mid
    if work <= between * math.log(2):
        return None
    causes = " and ".join(each.cause for each in whole.hazards)
    return (
        f"no checkpoints and {format_duration(work)} of work: {causes} come every {format_duration(between)} on "
        f"average, so it ends undisturbed in {math.exp(-work / between):.2g} of cases\n"
        f"Save at least every {format_duration(best_interval_s(60.0, between))}: --checkpoint-every"
    )


def _stalled(work: list[Part]) -> bool:
    return any(part.name == "data stalls" and part.seconds.mid > 0 for part in work)
