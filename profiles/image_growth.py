"""From traces with images of several sizes to what holds for all of them."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, replace

from hardware_db.errors import UsageError
from hardware_db.units import parse_precision
from profiles.depth import NotPeriodic
from profiles.growth_fit import fit
from profiles.image_sizes import ImageSizes
from profiles.model_profile import ModelProfile
from profiles.models import ModelDefinition
from profiles.profiling import profile_of
from profiles.records import Operation
from profiles.request import ProfileRequest
from profiles.trace.rungs import Climb
from profiles.trace.settings import StepSettings
from profiles.trace.step import StepFailed
from profiles.trace_record import OperationTrace, RawTrace, SizeDependent, fit_growth, fold
from profiles.tracers import Tracer, start, start_whole

_PADDED = "aten._scaled_dot_product_efficient_attention"
_BATCHES = (2, 3, 5)
_STEPS = 6
"""Sides that prove a law of attention: its work grows with the fourth power of the side."""


@dataclass(slots=True)
class _Side:
    """The model built for images of one side."""

    definition: ModelDefinition
    tracer: Tracer
    first: Climb
    profile: ModelProfile
    side: int

    @classmethod
    def of(cls, definition: ModelDefinition, settings: StepSettings, side: int, whole: bool) -> _Side:
        built = definition.for_images(side)
        begin = start_whole if whole else start
        tracer, first = begin(built, settings, built.sizes(_BATCHES[0], None, side))
        raw = first.trace.raw(_BATCHES[0], None)
        return cls(built, tracer, first, profile_of(built.name, settings, first, fold(raw)), side)

    def raw(self, batch: int) -> RawTrace:
        """Trace one batch size."""
        trace = self.first.trace
        if batch != _BATCHES[0]:
            trace = self.tracer.trace(self.definition.sizes(batch, None, self.side), self.first.rung)
        raw = trace.raw(batch, None)
        return replace(raw, sequence_length=self.side, patches=_patches(raw.operations))


def with_image_sizes(
    profile: ModelProfile, definition: ModelDefinition, request: ProfileRequest | None = None
) -> ModelProfile:
    """Return the profile with what is known of images of other sizes, or with a note why nothing is.

    Parameters
    ----------
    profile
        What `profile_definition` made.
    definition
        The model at its own image size.
    request
        With what it was made.
    """
    if not definition.takes_images or profile.image_size is None or profile.sequence_length is not None:
        return profile
    request = request or ProfileRequest()
    settings = StepSettings(request.mode, parse_precision(request.precision), request.optimizer, request.device)
    try:
        return replace(profile, images=_image_sizes(profile, definition, settings))
    except (SizeDependent, StepFailed, UsageError) as refusal:
        note = f"holds for images of {profile.image_size} pixels only: {refusal}"
        return replace(profile, notes=(*profile.notes, note))


def _image_sizes(profile: ModelProfile, definition: ModelDefinition, settings: StepSettings) -> ImageSizes:
    """Return what holds for all sides; SizeDependent where nothing does."""
    if profile.rung == "cpu" or not profile.trace.recording.batch_multiple:
        raise SizeDependent("it holds for this batch size only")
    own, refusal = profile.image_size or 1, SizeDependent("no size that its strides divide was found")
    for step in _strides(profile.operations, own):
        for multiples in ((2, 3, 5, 8, 10, 13), (own // step - 2, *(own // step + more for more in (1, 3, 4, 6)))):
            sides = [own % step + multiple * step for multiple in multiples if multiple > 0]
            try:
                return _fitted(definition, settings, _needed(profile, sides, own))
            except (SizeDependent, StepFailed, UsageError) as error:
                refusal = SizeDependent(str(error))
    raise refusal


def _strides(operations: Iterable[Operation], side: int) -> list[int]:
    """Return how many pixels a place of the coarsest map stands for, for maps of more than one place."""
    maps = {tensor.shape[2] for op in operations if op.family == "convolution" for tensor in op.outputs[:1]
            if len(tensor.shape) == 4 and tensor.shape[2] == tensor.shape[3] > 1}  # fmt: skip
    smallest = min((each for each in maps if each < side), default=side)
    return list(dict.fromkeys(_powers_near(side / smallest)))


def _powers_near(ratio: float) -> Iterator[int]:
    yield max(1, round(ratio))
    yield 32


def _needed(profile: ModelProfile, sides: Sequence[int], own: int) -> list[int]:
    """Return as many sides as a law needs, the profile's own last."""
    attends = any(op.family == "attention" for op in profile.operations)
    few = [side for side in sides if side != own][: _STEPS if attends else 3]
    return [*few, own]


def _fitted(definition: ModelDefinition, settings: StepSettings, sides: Sequence[int]) -> ImageSizes:
    try:
        models = [_Side.of(definition, settings, side, whole=False) for side in sides]
        trace = _trace(models)
    except NotPeriodic:  # layers that are equal at one size are not at another
        models = [_Side.of(definition, settings, side, whole=True) for side in sides]
        trace = _trace(models)
    modules = tuple(path for path, _ in models[0].profile.module_parameters)
    if any(tuple(path for path, _ in each.profile.module_parameters) != modules for each in models):
        raise SizeDependent("the model has other modules at another image size")
    points = [(1, each.side, 1) for each in models]
    parameters = fit(list(zip(*(_parameters(each.profile) for each in models), strict=True)), points)
    patches = fit([tuple(each.raw(_BATCHES[0]).patches or 1 for each in models)], points)
    return ImageSizes(trace.recording, trace.single, modules, parameters, patches)


def _trace(models: Sequence[_Side]) -> OperationTrace:
    """Trace all sides with batch size 1, and enough of them with others."""
    middle = [_BATCHES[(at + 1) % 3] for at in range(len(models))]
    raws = [each.raw(_BATCHES[0]) for each in models]
    raws += [each.raw(batch) for each, batch in zip(models, middle, strict=True) if batch != _BATCHES[0]]
    return fit_growth([*raws, *(each.raw(1) for each in models)])


def _parameters(profile: ModelProfile) -> list[int]:
    return [profile.parameters, profile.trainable_parameters, *(count for _, count in profile.module_parameters)]


def _patches(operations: Iterable[Operation]) -> int:
    """Return the length of the sequence that memory-efficient attention pads, 1 where there is none."""
    lengths = (op.inputs[0].shape[2] for op in operations if op.operator == _PADDED)
    return max(lengths, default=1)
