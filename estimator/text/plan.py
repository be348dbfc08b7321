"""Plans as text: the finding, the best split, what the others lose, and where more devices stop paying."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import groupby
from typing import TYPE_CHECKING, Literal

from estimator.parallel.layout import layout_of
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
    Column("BOUND", drop=4),
    Column("MEMORY", "GiB"),
)
PARTS = 4
NEGLIGIBLE = 1e-9
BINDS = {
    "compute": "compute binds",
    "memory": "memory bandwidth binds",
    "launch": "the host binds: it launches kernels slower than the device runs them",
    "network": "the network binds",
    "waiting": "waiting for other devices binds",
    "data": "the data loaders bind",
}
"""What most of a step's time goes to, as a sentence."""
RULES = {
    "hours": "up to there twice the devices are at least 1.5 times as fast",
    "dollars": "up to there a step costs at most 10 % more than at best",
    "device time": "up to there a step takes at most 10 % more device time than at best; not all of them have a price",
}


def plan_text(found: Scaling, assumed: Sequence[str], page: Page) -> str:
    """Return the finding, then the plans of one number of devices, or the best plan of each of several."""
    several = len(found.points) > 1
    foot = notes(_notes(found, assumed, page.width))
    if not found.feasible and not several:
        return page.render(_finding(found), "", foot)
    rows = _counts(found) if several else _plans(found.points[0])
    return page.render(_finding(found), "", *table(COUNTS if several else PLANS, rows, page.width), "", foot)


def _finding(found: Scaling) -> str:
    """Say what to do in one sentence."""
    job, points = found.job, found.feasible
    name, last = job.device.id, found.points[-1]
    if not points:
        return f"{job.profile.model} has no plan on {_numbers(found)} {name}: {why_not(last)}"
    if len(found.points) > 1:
        return f"{_paying(found)} {_best_text(found, _knee_point(found))}"
    return _best_text(found, last)


def _paying(found: Scaling) -> str:
    """Say up to how many devices more of them pay."""
    name, most = found.job.device.id, found.feasible[-1].count
    if len(found.feasible) == 1:
        return f"Of these numbers of {name} only {most:,} hold it."
    hours, dollars = found.knee("hours"), found.knee("dollars")
    if hours == dollars == (most, most):
        return f"Each further {name} pays, up to the {most:,} asked for."
    money = "dollars" if found.priced else "device time"
    if hours == dollars:
        return f"More {name} pay up to {_band(hours)}, in hours and in {money}."
    return f"More {name} pay up to {_band(hours)} in hours, up to {_band(dollars)} in {money}."


def _knee_point(found: Scaling) -> Point:
    """Return the most devices that surely pay in hours."""
    least, _ = found.knee("hours") or (0, 0)
    return next(point for point in found.feasible if point.count == least)


def _best_text(found: Scaling, point: Point) -> str:
    """Say what the best plan of a number of devices is, what a step of it takes, and what binds it."""
    best = point.found.best
    assert best is not None
    name = f"{point.count:,} × {found.job.device.id}"
    middle, ends = _seconds(best.step)
    cost = f", {_cost(found, point)} for 1,000 steps" if point.count in found.rentals else ""
    took = f"{middle} s a step ({ends}), {share(best.step.mfu)} MFU{cost}"
    return f"{best.split} on {name}: {took}; {BINDS[best.step.bound]}."


def assumed_of(found: Scaling) -> list[str]:
    """Say what links, software, experts, data and batch were taken, and what batches would divide."""
    job = found.job
    measured = "collectives as measured here" if job.network.measured else f"links of {job.network.name}"
    software = f"software as {job.stack.name} runs it"
    experts = [str(job.routing)] if layout_of(job.profile).has_experts else []
    rate = job.data_samples_per_s
    data = f"data at {rate:,.6g} samples/s" if rate else "no step waits for data (else --data-rate)"
    parts = [f"a {job.device.id} is {job.network.parts} devices of a split"] if job.network.parts > 1 else []
    batch = f"global batch of {job.global_batch_size:,} samples"
    return [measured, software, *experts, *parts, data, batch, *_remainders(found)]


def _remainders(found: Scaling) -> list[str]:
    odd = [point for point in found.points if point.found.nearest_batches]
    if not odd:
        return []
    nearest = " or ".join(f"{each:,}" for each in odd[-1].found.nearest_batches)
    return [
        f"it does not divide over all {odd[-1].count * found.job.network.parts:,} devices; next to it, {nearest} do"
    ]


def _numbers(found: Scaling) -> str:
    counts = [point.count for point in found.points]
    return f"{counts[0]:,}" if len(counts) == 1 else f"{counts[0]:,} to {counts[-1]:,}"


def _plans(point: Point) -> list[Row]:
    best = point.found.best
    assert best is not None
    alike = ALIKE * min(plan.seconds for plan in point.found.plans)
    return [Row(_plan_cells(plan, best, alike)) for plan in point.found.plans]


def _plan_cells(plan: Plan, best: Plan, alike: float) -> list[str]:
    """Cells of a plan; the best is the simplest of those that take at most `alike` seconds: the others are as good."""
    loses = "as good" if plan.seconds <= alike else f"{100 * (plan.seconds / best.seconds - 1):+.1f} %"
    loses, step = "best" if plan is best else loses, plan.step
    return [str(plan.split), _micro(step), *_seconds(step), loses, share(step.mfu),
            figure(step.peak_memory_bytes, GIB), share(_waited(step))]  # fmt: skip


def _waited(step: ParallelStep) -> float:
    """Share of a step in collectives that nothing hides; 0 for what is left of rounding."""
    waited = step.communication_s / step.total.mid
    return waited if waited > NEGLIGIBLE else 0.0


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
        step = best.step
        rest = [share(step.mfu), step.bound, figure(step.peak_memory_bytes, GIB)]
        rows.append(Row([*cells, used, _cost(found, point), *rest]))
    return rows


def _notes(found: Scaling, assumed: Sequence[str], width: int) -> list[tuple[str, str]]:
    said: list[tuple[str, str]] = []
    last = found.points[-1]
    best = last.found.best
    if best is not None:
        where = [f"{last.count:,} devices"] if len(found.points) > 1 else []
        said.append(("Step", flow([*where, *_parts(best.step)], max(40, width - 16))))
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
    beyond = "; more were not asked for" if found.points[-1].count == band[1] else ""
    return f"{_band(band)} {'device' if band == (1, 1) else 'devices'}: {RULES[rule]}{beyond}"


def _band(band: tuple[int, int] | None) -> str:
    """Say a number, or the ends of a band."""
    least, most = band or (0, 0)
    return f"{least:,}" if least == most else f"{least:,} to {most:,}"
