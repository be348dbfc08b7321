"""Serving as a table: one line a device, and what a life of it costs."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

from estimator.serving.few_bits import INT8
from estimator.serving.writing import Writing
from estimator.text.figures import DURATION, figure, span, two_digits
from estimator.text.notes import notes
from estimator.text.table import MISSING, Column, Row, table
from hardware_db.units import format_usd

if TYPE_CHECKING:
    from estimator.memory import MemoryNeed
    from estimator.serving import Lifetime
    from estimator.serving.everywhere import Answered
    from estimator.serving.predictions import Serving
    from estimator.text.page import Page

WRITING = (
    Column("HARDWARE", align="left"),
    Column("PROVIDER", align="left", drop=2),
    Column("FIRST TOKEN"),
    Column("NEXT TOKEN"),
    Column("ANSWER", gap=1),
    Column("RANGE", drop=3),
    Column("TOKENS/S"),
    Column("$/M TOKENS"),
    Column("MEM GiB", drop=4),
    Column("CACHE GiB", drop=1),
    Column("PRECISION", align="left", drop=6),
    Column("BASIS", align="left", drop=5),
)
PREDICTIONS = (
    Column("HARDWARE", align="left"),
    Column("PROVIDER", align="left", drop=1),
    Column("LATENCY", gap=1),
    Column("RANGE", drop=2),
    Column("PER SECOND"),
    Column("$/1,000"),
    Column("MEM GiB", drop=3),
    Column("PRECISION", align="left", drop=5),
    Column("BASIS", align="left", drop=4),
)
EIGHT = "weights and activations, as a compiler for inference makes it; compared with no measurement yet"
ASSUMED = "full batches, a device that is always busy, whole prices on demand; no queue, sampling, network or tokenizer"


def serving_text(
    rows: Sequence[Answered], left_out: Mapping[str, str], life: Lifetime | None, page: Page, limit: int
) -> str:
    """Return the table of devices that fit, how many do not, why others have no row, and the cost of a life."""
    fitting = [row for row in rows if row.fits]
    shown = fitting[:limit] if limit else fitting
    writing = any(isinstance(row, Writing) for row in rows)
    lines = table(WRITING if writing else PREDICTIONS, [Row(_cells(row)) for row in shown], page.width)
    more = [f"…{len(fitting) - len(shown)} more: --limit 0"] if len(fitting) > len(shown) else []
    said = [("Assumed", ASSUMED)]
    if len(fitting) < len(rows):
        small = [row.device.id for row in rows if not row.fits]
        named = ", ".join(small[:5]) + (" …" if len(small) > 5 else "")
        said.append(("Too small", f"{len(small)} devices, or of unknown memory ({named})"))
    said += [("Left out", _left_out(left_out))] if left_out else []
    said += [("Life", _life(life))] if life else []
    if any(row.precision == INT8 for row in shown):
        said.append(("In 8 bits", EIGHT))
    head = [] if fitting else ["It fits no device that was asked for.", ""]
    return page.render(*head, *lines, *more, "", notes(said))


def _left_out(reasons: Mapping[str, str]) -> str:
    first = next(iter(reasons))
    return reasons[first] + (f"; and {len(reasons) - 1} more: --json" if len(reasons) > 1 else "")


def _cells(row: Answered) -> list[str]:
    place = [row.device.id, row.offer.provider if row.offer else MISSING]
    return [*place, *(_written(row) if isinstance(row, Writing) else _predicted(row))]


def _written(row: Writing) -> list[str]:
    price = MISSING if row.usd_per_million is None else figure(row.usd_per_million.mid)
    memory = [two_digits(_held(row.need.peak), 2**30), two_digits(row.need.cache_bytes, 2**30)]
    times = [span(row.prefill, DURATION)[0], span(row.token, DURATION)[0], *span(row.latency, DURATION)]
    return [*times, figure(row.tokens_per_s), price, *memory, _computed(row), row.basis]


def _predicted(row: Serving) -> list[str]:
    price = MISSING if row.usd_per_thousand is None else figure(row.usd_per_thousand.mid)
    memory = two_digits(_held(row.need), 2**30)
    return [*span(row.latency, DURATION), figure(row.per_s), price, memory, _computed(row), row.basis]


def _computed(row: Answered) -> str:
    bits = row.weight_bits if isinstance(row, Writing) else None
    return row.precision if bits is None else f"{row.precision}, weights {bits:g} bits"


def _held(need: MemoryNeed) -> int:
    """Return the bytes that the model takes, without what the system keeps of a shared memory for itself."""
    return need.total_bytes - need.system_bytes


def _life(life: Lifetime) -> str:
    months = life.months_until_equal
    equal = f"; as much as training after {months:.2g} months" if months else "; less than training"
    equal = equal if life.training_usd else ""
    training, serving = format_usd(life.training_usd), format_usd(life.serving_usd)
    machines = f"{life.devices:,} device{'s' * (life.devices > 1)} day and night"
    return f"{format_usd(life.total_usd)}: {training} training, {serving} serving on {machines}{equal}"
