"""`flopcast benchmark --memory`: the memory that a real training step takes here, beside what is predicted."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

from estimator.cli.benchmark_run import Ask, targets_of, training_of
from estimator.cli.progress import progress

if TYPE_CHECKING:
    from estimator.cli.model_options import ModelQuestion
    from estimator.cli.output import Output
    from estimator.memory import MemoryNeed
    from estimator.ranges import Range
    from profiles.benchmark.steps import RealStep
    from profiles.benchmark.target import Target
    from profiles.measured_memory import StepMemory
    from profiles.models import ModelDefinition


@dataclass(frozen=True, slots=True)
class MeasuredMemory:
    """Bytes at the peak of a real training step, and what the model's profile says.

    Attributes
    ----------
    measured_bytes, predicted_bytes
        of live tensors; on CUDA of what the allocator gave out
    held_bytes
        resident set of the process, on CUDA what the allocator held; None where the system does not tell
    predicted_held_bytes, predicted_held_bytes_low, predicted_held_bytes_high
        what is predicted of that: middle and ends of 80 % of cases
    """

    model: str
    device: str
    precision: str
    optimizer: str
    measured_bytes: int
    predicted_bytes: int
    held_bytes: int | None
    predicted_held_bytes: int
    predicted_held_bytes_low: int
    predicted_held_bytes_high: int


def measured_memory(ask: Ask, torch: Any, output: Output) -> MeasuredMemory:
    """Measure the memory of a training step of the model that was asked for.

    Raises
    ------
    UsageError
        The model cannot be trained here.
    """
    assert ask.model is not None
    target = targets_of(ask.device, torch)[0]
    target.make_current()
    definition, sizes, settings = training_of(ask.model, target)
    from profiles.benchmark.steps import real_step

    with progress(f"Training {definition.name}", output):
        step = real_step(definition, sizes, settings, target.lab.device)
        found = _measured(definition, step)
    need = _need(ask.model, target)
    predicted, held = _predicted(need, target)
    return MeasuredMemory(
        definition.name,
        target.lab.device,
        settings.precision,
        str(settings.optimizer),
        found.tensor_bytes,
        predicted,
        found.held_bytes,
        *map(round, (held.mid, held.low, held.high)),
    )


def _measured(definition: ModelDefinition, step: RealStep) -> StepMemory:
    """Measure the step in a plain loop; with several optimizers in the definition's own."""
    from profiles.measured_memory import known_tensors, measure_memory, measure_step_memory

    step.run()
    if definition.step is not None:
        return measure_memory(step.run, lambda: known_tensors(step.model, step.args, step.kwargs, step.optimizers))
    return measure_step_memory(
        step.model,
        step.args,
        step.kwargs,
        lambda outputs: definition.loss(outputs, step.args, step.kwargs),
        step.optimizers[0],
        step.settings.arithmetic.autocast,
    )


def _need(question: ModelQuestion, target: Target) -> MemoryNeed:
    from estimator.memory import memory_of
    from profiles.recall import profile

    kind = "cpu" if target.lab.kind == "cpu" else "cuda"
    asked = replace(question, device=kind)
    known = profile(asked.model, asked.request(), inputs=asked.input_specs())
    return memory_of(known, device=target.device)


def _predicted(need: MemoryNeed, target: Target) -> tuple[int, Range]:
    """Return what is predicted of both measurements; a process on a CPU holds interpreter and libraries too."""
    from estimator.memory import parameter

    if target.lab.kind == "cpu":
        return need.live_bytes, need.reserved + parameter("host_process", ("cpu",)).value
    return need.allocated_bytes, need.reserved
