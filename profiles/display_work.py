"""What a step computes, in one block: products and vector work by phase, what MFU counts, what time follows from."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import asdict
from operator import mul
from typing import TYPE_CHECKING

from profiles.records import PHASES, PhaseTotals
from profiles.sheets import Head, Line, Sheet, amount, figure, scale_of

if TYPE_CHECKING:
    from profiles.model_profile import ModelProfile

_DROPPED = {"optimizer": 1, "backward": 2}
_AGAIN = {"attention": "that attention's backward pass computes again"}
_SKIPPED = {"attention": "of masked attention, which kernels skip"}
_MORE = {"rnn": "of gradients that its kernels compute unasked"}
"""Family of the operations that differ -> in which words; others are named by their family."""


def work_sheet(profile: ModelProfile) -> Sheet:
    """Return FLOPs by phase: matrix products (also as multiply-adds), vector work, both, model and executed FLOPs."""
    products, step = profile.matmul_flops, profile.flops
    unit, prefix = scale_of(step.total)
    train = profile.mode == "train"
    phases = [phase for phase in PHASES if train or phase == "forward"]

    def line(label: str, totals: PhaseTotals, scale: float = unit, level: int = 0) -> Line:
        values = [getattr(totals, phase) for phase in phases] + ([totals.total] if train else [])
        return Line(label, level, tuple(figure(value, scale) for value in values))

    above = (
        line("matrix products", products),
        line(f"as {prefix}MACs", products, 2 * unit, level=1),
        line("vector work", _less(step, products)),
    )
    share = (line("share %", step, step.total / 100 or 1, level=1),) if train else ()
    below = (*share, line("model FLOPs", profile.model_flops), line("executed FLOPs", profile.executed_flops))
    columns = [*phases, "total"] if train else phases
    heads = (Head("WORK"), *(Head(name.upper(), f"{prefix}FLOPs", _DROPPED.get(name, 0)) for name in columns))
    return Sheet(heads, above, line("step", step), below)


def _less(totals: PhaseTotals, part: PhaseTotals) -> PhaseTotals:
    rest = asdict(part)
    return PhaseTotals(**{phase: value - rest[phase] for phase, value in asdict(totals).items()})


def work_lines(profile: ModelProfile) -> list[tuple[str, str]]:
    """Return why model FLOPs are not the matrix products and executed FLOPs not the step; nothing where they are."""
    model, executed = ", ".join(_not_of_the_model(profile)), ", ".join(_not_as_called(profile))
    lines = [
        ("MFU", model and f"counts model FLOPs, the matrix products without {model}"),
        ("Time", executed and f"follows from executed FLOPs, the step {executed}"),
    ]
    return [(name, why) for name, why in lines if why]


def _not_of_the_model(profile: ModelProfile) -> Iterator[str]:
    """Yield the products that the model does not ask for, by what makes them."""
    table = profile.trace.table
    rows = zip(table.engine.values, table.family.values, table.recomputed, strict=True)
    again = [
        ("that activation checkpointing computes again" if second else _AGAIN.get(family, f"that {family} adds"))
        if engine == "matrix"
        else ""
        for engine, family, second in rows
    ]
    for words, flops in _sums(profile, again, "model_flops"):
        yield f"{amount(flops, 'FLOPs')} {words}"


def _not_as_called(profile: ModelProfile) -> Iterator[str]:
    """Yield what the device skips, and what it computes besides."""
    families = profile.trace.table.family.values.tolist()
    for family, flops in _sums(profile, families, "executed_flops"):
        if flops > 0:
            yield f"without {amount(flops, 'FLOPs')} {_SKIPPED.get(family, f'that {family} skips')}"
        else:
            yield f"with {amount(-flops, 'FLOPs')} more {_MORE.get(family, f'that {family} computes besides')}"


def _sums(profile: ModelProfile, words: list[str], quantity: str) -> Iterator[tuple[str, int]]:
    """Yield by how much the FLOPs as called exceed another count of them, for each word; "" is left out."""
    table = profile.trace.table
    counts = table.count.tolist()
    called = map(mul, table.flops.tolist(), counts)
    other = map(mul, getattr(table, quantity).tolist(), counts)
    sums: dict[str, int] = {}
    for word, first, second in zip(words, called, other, strict=True):
        if word and first != second:
            sums[word] = sums.get(word, 0) + first - second
    yield from ((word, flops) for word, flops in sums.items() if flops)
