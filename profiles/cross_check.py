"""The same forward pass counted three times: by flopcast, by fvcore and by torch's FlopCounterMode.

All figures are FLOPs, 2 for each multiply-add; fvcore counts multiply-adds, so that its figures are doubled. Where a
tool has no figure there is a dash, and where figures differ the reason stands beside them.
"""

from __future__ import annotations

import textwrap
from collections import Counter
from collections.abc import Mapping
from dataclasses import asdict, dataclass, replace
from typing import TYPE_CHECKING, Any

import torch

from profiles.definitions import profile_definition
from profiles.display import WIDTH, sheet_text
from profiles.models import ModelDefinition
from profiles.profiling import profile_model
from profiles.records import FAMILIES
from profiles.request import ProfileRequest
from profiles.second_opinions import COMPOSITES, CUSTOM, SecondOpinion, Workload, ask_flop_counter, ask_fvcore
from profiles.sheets import MISSING, Head, Line, Sheet, figure, scale_of
from profiles.trace.rungs import Ground, bytes_of
from profiles.trace.twin import Twins, original

if TYPE_CHECKING:
    from profiles.model_profile import ModelProfile

LARGEST_RUN_BYTES = 2 << 30
LARGEST_RUN_FLOPS = 10**12
"""A model above these is not run for real: that would take long or much memory."""

MATRIX = ("matmul", "convolution", "attention", "rnn", "sparse")
"""Families of matrix products, which all three tools mean to count."""


@dataclass(frozen=True, slots=True)
class CrossCheckRow:
    """One family of operators: FLOPs by each tool, None where a tool has no figure, and why they differ."""

    family: str
    flopcast: int
    fvcore_x2: int | None
    flop_counter_mode: int | None
    reason: str

    @property
    def agrees(self) -> bool:
        """True where both other tools have flopcast's figure."""
        return self.flopcast == self.fvcore_x2 == self.flop_counter_mode


@dataclass(frozen=True)
class CrossCheck:
    """The three counts of one forward pass, family by family; prints as a table.

    rows    one for every family that any tool counted
    total   all matrix products together
    notes   what each tool ran on, or why it could not
    """

    model: str
    rows: tuple[CrossCheckRow, ...]
    total: CrossCheckRow
    notes: tuple[str, ...]

    def records(self) -> list[dict[str, Any]]:
        """Return the rows and the total as plain records."""
        return [asdict(row) for row in (*self.rows, self.total)]

    def __repr__(self) -> str:
        return _text(self)


def cross_check(
    model: torch.nn.Module | ModelDefinition,
    args: Any = (),
    kwargs: Mapping[str, Any] | None = None,
    *,
    request: ProfileRequest | None = None,
) -> CrossCheck:
    """Count one forward pass in evaluation mode with three tools.

    Parameters
    ----------
    model
        A module, or a definition, which makes its own inputs.
    args, kwargs
        What a module is called with.
    request
        Sizes of a definition, and the precision and target device of flopcast's count.

    Raises
    ------
    ModelError
        If flopcast itself cannot run the model.
    """
    request = replace(request or ProfileRequest(), mode="forward")
    if isinstance(model, ModelDefinition):
        subject: _Module | _Definition = _Definition(model, request)
    else:
        subject = _Module(original(model), args if isinstance(args, tuple) else (args,), dict(kwargs or {}), request)
    profile = subject.profile()
    small = subject.parameter_bytes() <= LARGEST_RUN_BYTES and profile.flops.forward <= LARGEST_RUN_FLOPS
    return compare(profile, ask_fvcore(subject.workload, small), ask_flop_counter(subject.workload, small))


@dataclass(frozen=True, slots=True)
class _Module:
    """A module and what it is called with."""

    model: torch.nn.Module
    args: tuple[Any, ...]
    kwargs: dict[str, Any]
    request: ProfileRequest

    def profile(self) -> ModelProfile:
        """Flopcast's count."""
        chosen: dict[str, Any] = {"precision": self.request.precision, "device": self.request.device}
        return profile_model(self.model, self.args, self.kwargs, mode="forward", **chosen)

    def parameter_bytes(self) -> int:
        """Size of the model."""
        return bytes_of(self.model)

    def workload(self, ground: Ground) -> Workload:
        """Copy of model and inputs on this ground, so that the user's own stay as they are."""
        twins = Twins(ground.device, None, ground.fake)
        model = twins.model(self.model).eval()
        args, kwargs = twins.copy((self.args, self.kwargs))
        return model, args, kwargs


@dataclass(frozen=True, slots=True)
class _Definition:
    """A model definition at one size."""

    definition: ModelDefinition
    request: ProfileRequest

    def profile(self) -> ModelProfile:
        """Flopcast's count."""
        return profile_definition(self.definition, self.request)

    def parameter_bytes(self) -> int:
        """Size of the model."""
        with torch.device("meta"):
            return bytes_of(self.definition.build())

    def workload(self, ground: Ground) -> Workload:
        """Model and inputs on this ground, without labels."""
        request, definition = self.request, self.definition
        sizes = definition.sizes(request.batch_size, request.sequence_length, request.image_size)
        model = definition.build().eval()
        args, kwargs = definition.inputs(sizes.batch_size, sizes.sequence_length, sizes.image_size)
        kwargs = {name: value for name, value in kwargs.items() if name not in definition.labels}
        args, kwargs = Twins(ground.device, None, ground.fake).copy((args, kwargs))
        return model, args, kwargs


def compare(profile: ModelProfile, fvcore: SecondOpinion, counter: SecondOpinion) -> CrossCheck:
    """Put a profile of a forward pass beside what the other tools counted."""
    ours = {row.name: row.flops.forward for row in profile.by_family()}
    fvcore = replace(fvcore, missed=_by_family(fvcore.missed.get("", {}), profile))
    counted = {*ours, *fvcore.flops, *counter.flops}
    families = [family for family in FAMILIES if family in counted and (ours.get(family) or family in fvcore.flops)]
    families += [family for family in counter.flops if family not in families]
    rows = tuple(_row(family, ours.get(family, 0), fvcore, counter) for family in families)
    notes = (_note("fvcore", fvcore), _note("FlopCounterMode", counter))
    return CrossCheck(profile.model, rows, _total(profile, fvcore, counter), notes)


def _by_family(missed: Mapping[str, int], profile: ModelProfile) -> dict[str, Counter[str]]:
    """Operators that fvcore has no handle for, by the family that they have in the profile."""
    known = {operation.operator.removeprefix("aten.").rstrip("_"): operation.family for operation in profile.operations}
    found: dict[str, Counter[str]] = {}
    for name, calls in missed.items():
        family = COMPOSITES.get(name) or CUSTOM.get(name) or known.get(name.rstrip("_"), "other")
        found.setdefault(family, Counter())[name] += calls
    return found


_CONVENTIONS = {
    "normalisation": "fvcore takes 5 operations an element with an affine part and 4 without, doubled here like all "
    "its figures; flopcast's conventions are in docs/formulas.md",
}
"""Family of vector work -> how fvcore's convention differs from ours (fvcore/nn/jit_handles.py, norm_flop_counter)."""


def _row(family: str, ours: int, fvcore: SecondOpinion, counter: SecondOpinion) -> CrossCheckRow:
    theirs, torchs = fvcore.flops.get(family), counter.flops.get(family)
    if family not in MATRIX:
        reason = "" if theirs == ours else "vector work: "
        if reason:
            reason += _CONVENTIONS.get(family, "fvcore counts it by another convention")
            reason = reason if theirs else "vector work: counted by flopcast alone"
        return CrossCheckRow(family, ours, theirs, torchs, reason)
    reasons = (
        _reason("fvcore", "handle", (ours, theirs), fvcore, family),
        _reason("FlopCounterMode", "formula", (ours, torchs), counter, family),
    )
    return CrossCheckRow(family, ours, theirs, torchs, "; ".join(reason for reason in reasons if reason))


def _reason(tool: str, lacks: str, figures: tuple[int, int | None], opinion: SecondOpinion, family: str) -> str:
    """Why a tool has another figure for a family; nothing where it has the same."""
    if figures[0] == figures[1] or not opinion.ground:
        return ""
    missed = opinion.missed.get(family)
    if not missed:
        return f"{tool} differs for a reason that is not known"
    names = ", ".join(f"{name} ({calls} call{'s' * (calls > 1)})" for name, calls in missed.most_common(3))
    return f"{tool} has no {lacks} for {names}"


def _note(tool: str, opinion: SecondOpinion) -> str:
    if not opinion.ground:
        return f"{tool} has no figures: {opinion.failure}"
    return f"{tool} ran on {opinion.ground} tensors" + (f"; {opinion.failure}" if opinion.failure else "")


def _total(profile: ModelProfile, fvcore: SecondOpinion, counter: SecondOpinion) -> CrossCheckRow:
    """All matrix products; a tool that could not count has no total."""

    def products(opinion: SecondOpinion) -> int | None:
        return None if not opinion.ground else sum(opinion.flops.get(family, 0) for family in MATRIX)

    ours = profile.matmul_flops.forward
    return CrossCheckRow("matrix products", ours, products(fvcore), products(counter), "")


_HEADS = ("FLOPCAST", "FVCORE × 2", "", "FLOPCOUNTERMODE", "")


def _text(check: CrossCheck) -> str:
    unit, prefix = scale_of(check.total.flopcast or max((row.flopcast for row in check.rows), default=1))
    heads = (Head(title, f"{prefix}FLOPs" if title else "%") for title in _HEADS)
    lines = tuple(_line(row, unit) for row in check.rows)
    sheet = Sheet((Head("FAMILY"), *heads), lines, _line(check.total, unit))
    title = f"{check.model} · one forward pass · 1 multiply-add = 2 FLOPs"
    return "\n".join([title, "", sheet_text(sheet, WIDTH), "", *_reasons(check), *check.notes])


def _reasons(check: CrossCheck) -> list[str]:
    """Each reason once, with the families that it holds for."""
    families: dict[str, list[str]] = {}
    for row in check.rows:
        if row.reason:
            families.setdefault(row.reason, []).append(row.family)
    return [textwrap.fill(f"{', '.join(names)}: {reason}", WIDTH) for reason, names in families.items()]


def _line(row: CrossCheckRow, unit: float) -> Line:
    cells = [figure(row.flopcast, unit)]
    for theirs in (row.fvcore_x2, row.flop_counter_mode):
        cells += [MISSING if theirs is None else figure(theirs, unit), _percent(row.flopcast, theirs)]
    return Line(row.family, 0, tuple(cells))


def _percent(ours: int, theirs: int | None) -> str:
    """How far a figure is from flopcast's."""
    if theirs is None or not ours:
        return ""
    return "same" if theirs == ours else f"{100 * (theirs - ours) / ours:+.1f}"
