"""`flopcast benchmark --model`: a real training step, and what the rest of the benchmark predicts of it."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from estimator.cli.model_options import find_profile
from hardware_db.errors import FlopcastError
from hardware_db.units import format_duration

if TYPE_CHECKING:
    from estimator.cli.model_options import ModelQuestion
    from estimator.cli.output import Output
    from profiles.benchmark.target import Target
    from profiles.machine_profile import MachineProfile

STEP = "training step"


@dataclass(frozen=True, slots=True)
class StepCheck:
    """Seconds of a real training step beside what all other cases predict of it.

    `predicted_s_low` and `predicted_s_high` hold 80 % of cases, `error` is predicted over measured, minus 1, `basis` on
    what the prediction rests.
    """

    measured_s: float
    predicted_s: float
    predicted_s_low: float
    predicted_s_high: float
    error: float
    basis: str

    def __str__(self) -> str:
        low, mid, high = map(format_duration, (self.predicted_s_low, self.predicted_s, self.predicted_s_high))
        inside = "within" if self.predicted_s_low <= self.measured_s <= self.predicted_s_high else "outside of"
        return (
            f"{mid} ({low}-{high}) for the training step from all other cases, {self.error:+.0%} ({self.basis}): "
            f"what was measured is {inside} the range"
        )


def step_check(profile: MachineProfile, question: ModelQuestion, target: Target, output: Output) -> StepCheck | None:
    """Return what a benchmark predicts of the training step that it timed; None where it cannot, which is said.

    The step itself is not among the cases that figures are fitted to.
    """
    timed = next(profile.of_family(STEP), None)
    if timed is None:
        return None
    if target.device is None:
        output.say("The training step is not predicted: this device is not in the hardware database", "Warning:")
        return None
    from estimator.ranges import Range
    from estimator.timing import TimeSettings, beside, correction_measured, predict

    definition, request = question.definition(), question.request()
    sizes = definition.sizes(request.batch_size, request.sequence_length, request.image_size)
    kind = "cpu" if target.lab.kind == "cpu" else "cuda"
    try:
        correction = correction_measured(profile, target.device)
        found = find_profile(replace(question, device=kind, precision=request.precision), output)
        table = found.table(sizes.batch_size, sizes.sequence_length)
        breakdown = predict(table, target.device, TimeSettings(), correction)
    except FlopcastError as refusal:
        output.say(f"The training step is not predicted: {refusal}", "Warning:")
        return None
    busy, host = (Range(*each.sum(axis=1).tolist()) for each in (breakdown.device_s, breakdown.host_s))
    step = beside(busy, host, target.device.kind)
    error = step.mid / timed.typical_s - 1
    return StepCheck(timed.typical_s, step.mid, step.low, step.high, error, breakdown.basis)
