"""Plans as text: the best split and what the others lose; for several numbers of devices where more stop paying."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import groupby
from typing import TYPE_CHECKING, Literal

from estimator.plan.rows import why_not
from estimator.plan.search import ALIKE
from estimator.text.figures import figure, share
from estimator.text.notes import flow, notes
from estimator.text.page import Page
from estimator.text.table import MISSING, Column, Row, table
from hardware_db.units import format_usd

if TYPE_CHECKING:
    from estimator.parallel.step import ParallelStep
    from estimator.plan import Plan, Point, Scaling

GIB = 2**30
PLANS = (
    Column("SPLIT", align="left"),
    Column("MICRO", "× steps"),
    Column("STEP", "s"),
    Column("RANGE", "80 %", drop=2),
    Column("LOSES"),
    Column("MFU"),
    Column("MEMORY", "GiB"),
    Column("WAITS", "network", drop=1),
)
COUNTS = (
    Column("DEVICES"),
    Column("BEST SPLIT", align="left"),
    Column("MICRO", "× steps", drop=2),
    Column("STEP", "s"),
    Column("RANGE", "80 %", drop=1),
    Column("DEVICE TIME", "of best", drop=3),
    Column("COST", "1,000 steps"),
    Column("MFU"),
    Column("MEMORY", "GiB"),
)
PARTS = 4
RULES = {
    "hours": "up to there twice the devices are at least 1.5 times as fast",
    "dollars": "up to there a step costs at most 10 % more than at best",
    "device time": "up to there a step takes at most 10 % more device time than at best; not all of them have a price",
}


def plan_text(found: Scaling, assumed: Sequence[str], page: Page) -> str:
    """Return the plans of one number of devices, or the best plan of each of several."""
    several = len(found.points) > 1
    columns = COUNTS if several else PLANS
    rows = _counts(found) if several else _plans(found.points[0])
    return page.render(*table(columns, rows, page.width), "", notes(_notes(found, assumed, page.width)))


def _plans(point: Point) -> list[Row]:
    best = point.found.best
    if best is None:
        return [Row([], note=why_not(point))]
    alike = ALIKE * min(plan.seconds for plan in point.found.plans)
    return [Row(_plan_cells(plan, best, alike)) for plan in point.found.plans]


def _plan_cells(plan: Plan, best: Plan, alike: float) -> list[str]:
    """Cells of a plan; the best is the simplest of those that take at most `alike` seconds: the others are as good."""
    loses = "as good" if plan.seconds <= alike else f"{100 * (plan.seconds / best.seconds - 1):+.1f} %"
    loses, step = "best" if plan is best else loses, plan.step
    return [str(plan.split), _micro(step), *_seconds(step), loses, share(step.mfu),
            figure(step.peak_memory_bytes, GIB), share(step.communication_s / step.total.mid)]  # fmt: skip


def _micro(step: ParallelStep) -> str:
    return f"{step.micro_batch_size} × {step.micro_batches}"


def _seconds(step: ParallelStep) -> list[str]:
    total = step.total
    return [figure(total.mid), f"{figure(total.low)}-{figure(total.high)}"]


def _counts(found: Scaling) -> list[Row]:
    rows = []
    for point in found.points:
        best = point.found.best
        if best is None:
            rows.append(Row([f"{point.count:,}"], note=why_not(point)))
            continue
        cells = [f"{point.count:,}", str(best.split), _micro(best.step), *_seconds(best.step)]
        used = f"{found.device_seconds(point):.2f} ×"
        memory = figure(best.step.peak_memory_bytes, GIB)
        rows.append(Row([*cells, used, _cost(found, point), share(best.step.mfu), memory]))
    return rows


def _notes(found: Scaling, assumed: Sequence[str], width: int) -> list[tuple[str, str]]:
    said: list[tuple[str, str]] = []
    last = found.points[-1]
    best = last.found.best
    if best is not None:
        said.append(("Step", flow(_parts(best.step), max(40, width - 16))))
        if len(best.step.memory) > 1:
            said.append(("Stages", f"{_runs(best.step.stage_layers)} layers"))
        said.append(("Binds", f"{best.step.bound}; fullest stage {figure(best.step.peak_memory_bytes, GIB)} GiB"))
    if len(found.points) > 1 and found.feasible:
        said += [("Knee, hours", _knee(found, "hours")), ("Knee, dollars", _knee(found, "dollars"))]
    if (rented := _rented(found)) is not None:
        said.append(("Costs", rented))
    searched = sum(point.found.searched for point in found.points)
    fitting = sum(point.found.fitting for point in found.points)
    said.append(("Searched", f"{searched:,} splits, {fitting:,} fit"))
    return [*said, ("Assumed", flow(assumed, max(40, width - 16)))]


def _cost(found: Scaling, point: Point) -> str:
    """Say what 1,000 steps cost."""
    usd = found.usd_per_step(point)
    return MISSING if usd is None else format_usd(1000 * usd)


def _rented(found: Scaling) -> str | None:
    """Say whose price the last number of devices has; None where it has none."""
    last = found.points[-1]
    rental = found.rentals.get(last.count)
    if rental is None or last.found.best is None:
        return None
    offer = rental.offer
    each = f"{format_usd(offer.usd_per_device_hour)} an hour and device, {offer.as_of}, on demand"
    machine = f"{offer.provider} {offer.instance}" if offer.instance else offer.provider
    said = f"{_cost(found, last)} for 1,000 steps on {last.count:,} of {machine}"
    return f"{said} ({each}; training alone, joined as assumed)"


def _parts(step: ParallelStep) -> list[str]:
    parts = sorted(step.parts.items(), key=lambda part: -part[1].mid)[:PARTS]
    return [f"{name} {share(seconds.mid / step.total.mid)}" for name, seconds in parts if seconds.mid > 0]


def _runs(layers: Sequence[int]) -> str:
    """Say how many layers the stages have: 14 × 8, 7."""
    runs = [(size, len(list(same))) for size, same in groupby(layers)]
    return ", ".join(f"{times} × {size}" if times > 1 else str(size) for size, times in runs)


def _knee(found: Scaling, pays: Literal["hours", "dollars"]) -> str:
    band, rule = found.knee(pays), "device time" if pays == "dollars" and not found.priced else pays
    if band is None:
        return MISSING
    least, most = band
    named = f"{least:,}" if least == most else f"{least:,} to {most:,}"
    beyond = "; more were not asked for" if found.points[-1].count == most else ""
    return f"{named} devices: {RULES[rule]}{beyond}"
