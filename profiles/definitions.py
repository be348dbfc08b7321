"""From a model definition to a profile that answers every batch size and sequence length."""

from __future__ import annotations

from dataclasses import replace

import torch
from torch.utils._pytree import tree_leaves

from hardware_db.units import parse_precision
from profiles.depth import NotPeriodic
from profiles.growing import grow
from profiles.model_profile import ModelProfile
from profiles.models import ModelDefinition, Sizes
from profiles.profiling import profile_of
from profiles.request import ProfileRequest
from profiles.sizes import Bounds
from profiles.thresholds import thresholds_of
from profiles.trace.rungs import Climb, Ground
from profiles.trace.settings import StepSettings
from profiles.trace_record import OperationTrace, RawTrace, fold
from profiles.tracers import Tracer, start, start_whole

RUN_FOR_REAL = (
    "holds for this size only: it was run for real, on made-up weights and inputs (random, seed 0); "
    "other values may compute more or less"
)


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
    sizes = definition.sizes(request.batch_size, request.sequence_length, request.image_size)
    settings = StepSettings(request.mode, parse_precision(request.precision), request.optimizer, request.device)
    first, trace, note = _traced(definition, settings, sizes)
    profile = profile_of(definition.name, settings, first, trace)
    return replace(
        profile,
        image_size=sizes.image_size or _side_of(definition, sizes),
        sequence_limit=definition.sequence_limit,
        notes=(*definition.notes, *profile.notes, *((note,) if note else ())),
    )


def _side_of(definition: ModelDefinition, sizes: Sizes) -> int | None:
    """Return the side of the images that a model takes by itself; None where it takes none, or none that are square."""
    if not definition.takes_images:
        return None
    with Ground("meta").context():
        given = definition.inputs(sizes.batch_size, sizes.sequence_length, None)
    leaves = (leaf for leaf in tree_leaves(given) if isinstance(leaf, torch.Tensor) and leaf.dim() > 2)
    return next((leaf.shape[-1] for leaf in leaves if leaf.shape[-1] == leaf.shape[-2] > 1), None)


def _traced(definition: ModelDefinition, settings: StepSettings, sizes: Sizes) -> tuple[Climb, OperationTrace, str]:
    """Return the first trace, that for all sizes, and a note on what it does not cover."""
    tracer, first = start(definition, settings, sizes)
    try:
        return first, *_grow(tracer, first, sizes, definition.sequence_limit)
    except NotPeriodic:  # layers that are equal at the first size are not at another
        tracer, first = start_whole(definition, settings, sizes)
        return first, *_grow(tracer, first, sizes, definition.sequence_limit)


def _grow(tracer: Tracer, first: Climb, sizes: Sizes, limit: int | None) -> tuple[OperationTrace, str]:
    """Return the trace, for all sizes if possible, and why it is for one only if not; NotPeriodic as in `Tracer`."""
    raw = first.trace.raw(sizes.batch_size, sizes.sequence_length)
    if first.rung == "cpu":
        return fold(raw), RUN_FOR_REAL

    def trace_at(other: Sizes) -> RawTrace:
        return tracer.trace(other, first.rung).raw(other.batch_size, other.sequence_length)

    own_code = tracer.definition.fingerprint is None
    return grow(raw, trace_at, sizes, Bounds(limit, _thresholds(tracer.definition), own_code))


def _thresholds(definition: ModelDefinition) -> tuple[int, ...]:
    with Ground("meta").building():
        return thresholds_of(definition.build())
