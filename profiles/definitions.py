"""From a model definition to a profile that answers every batch size and sequence length."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, replace

import torch

from hardware_db.errors import UsageError
from hardware_db.units import parse_precision
from profiles.model_profile import ModelProfile
from profiles.models import ModelDefinition, Sizes
from profiles.profiling import profile_of
from profiles.request import ProfileRequest
from profiles.sizes import more_sizes
from profiles.trace.rungs import Climb, Ground, bytes_of, climb, trace_on
from profiles.trace.settings import StepSettings
from profiles.trace.step import Step, StepFailed
from profiles.trace.twin import Twins
from profiles.trace_record import OperationTrace, RawTrace, SizeDependent, fit_growth, fold


def profile_definition(definition: ModelDefinition, request: ProfileRequest | None = None) -> ModelProfile:
    """Trace a model definition and make its profile.

    The step is traced at the size asked for and at several others. If the model makes the same calls at all of them and
    every number follows an exact polynomial, the profile answers other sizes; else it holds for its own, and its notes
    say why.

    Raises
    ------
    ModelError
        If the model cannot be built or run.
    UsageError
        If the sizes contradict the model, or mode, precision or optimizer is unknown.
    """
    request = request or ProfileRequest()
    if definition.declared is not None:
        raise UsageError(f"{definition.name} is known by its sizes only: there is nothing to trace")
    sizes = definition.sizes(request.batch_size, request.sequence_length, request.image_size)
    settings = StepSettings(request.mode, parse_precision(request.precision), request.optimizer, request.device)
    tracer = _Tracer(definition, settings)
    first = tracer.climb(sizes)
    trace, note = _grow(tracer, first, sizes)
    profile = profile_of(definition.name, settings, first, trace)
    return replace(
        profile,
        image_size=sizes.image_size,
        sequence_limit=definition.sequence_limit,
        notes=(*definition.notes, *profile.notes, *((note,) if note else ())),
    )


@dataclass(frozen=True, slots=True)
class _Tracer:
    definition: ModelDefinition
    settings: StepSettings

    def climb(self, sizes: Sizes) -> Climb:
        """Trace one size on the first rung that works."""
        with torch.device("meta"):
            weight = bytes_of(self.definition.build())
        return climb(lambda ground: self._step(ground, sizes), self.settings, weight)

    def trace_like(self, first: Climb, sizes: Sizes) -> RawTrace:
        """Trace another size on the rung of the first; SizeDependent where it does not run there."""
        try:
            trace = trace_on(first.rung, lambda ground: self._step(ground, sizes), self.settings)
        except StepFailed as failure:
            raise SizeDependent(f"the model fails at {sizes}: {failure}") from failure
        return trace.raw(sizes.batch_size, sizes.sequence_length)

    def _step(self, ground: Ground, sizes: Sizes) -> Step:
        definition, weights = self.definition, self.settings.arithmetic.weights
        training = self.settings.mode == "train"
        with ground.context():
            model = definition.build()
            args, kwargs = definition.inputs(sizes.batch_size, sizes.sequence_length, sizes.image_size)
        model.to(weights).train(training)
        if not training:
            kwargs = {name: value for name, value in kwargs.items() if name not in definition.labels}
        args, kwargs = Twins(ground.device, weights, ground.fake).copy((args, kwargs))
        return Step(model, args, kwargs, definition.loss, definition.step)


def _grow(tracer: _Tracer, first: Climb, sizes: Sizes) -> tuple[OperationTrace, str]:
    """Return the trace, for all sizes if possible, and why it is for one only if not."""
    raw = first.trace.raw(sizes.batch_size, sizes.sequence_length)
    if first.rung == "cpu":
        return fold(raw), "holds for this size only: it was run for real"
    reason = ""
    for others in more_sizes(sizes, tracer.definition.sequence_limit, raw.operations):
        try:
            return fit_growth([raw, *_raws(tracer, first, others)]), reason
        except SizeDependent as refusal:
            reason = f"holds for sequences of {sizes.sequence_length} only: {refusal}"
    return fold(raw), reason.replace("for sequences of None only", "for this size only")


def _raws(tracer: _Tracer, first: Climb, others: Iterable[Sizes]) -> list[RawTrace]:
    return [tracer.trace_like(first, sizes) for sizes in others]
