"""What a report of advice says, apart from how it looks: sections of lines, tables and plots."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import date
from typing import TYPE_CHECKING, Final

from estimator.estimates import Estimates
from estimator.report.charts import Point, bars, scatter
from estimator.text.advice import PAID, free_text, neighbour_text, saving_text, where_text
from estimator.text.figures import DURATION, MONEY, span, three_digits
from hardware_db.units import format_duration, format_usd

if TYPE_CHECKING:
    from estimator.advice.result import Advice, Option
    from estimator.ranges import Range
    from estimator.result import Estimate

HOUR_S: Final = 3600.0
Row = tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Section:
    """A heading, lines, a table (`head` empty: none) and a plot as SVG (empty: none)."""

    title: str
    lines: tuple[str, ...] = ()
    head: Row = ()
    rows: tuple[Row, ...] = ()
    chart: str = ""


@dataclass(frozen=True, slots=True)
class Report:
    """A title, the recommendation in one sentence, and sections."""

    title: str
    sentence: str
    sections: tuple[Section, ...]


def report_of(advice: Advice, today: date | None = None) -> Report:
    """Return everything that advice rests on: why, what is beside it, parts of time and cost, assumptions, sources."""
    shown = advice.best or advice.nearest
    sections = [_reasons(advice), *_frontier(advice), *_beside(advice), *_changes(advice)]
    if shown is not None:
        sections += [*_parts(shown.row), _assumptions(shown.row), _sources(advice)]
    run = advice.runs[0]
    title = f"Training {run.profile.model}: {run.total_steps:,} steps of {run.global_batch_size:,}"
    made = f"{title}, {today or date.today()}"
    return Report(made, advice.sentence, tuple(each for each in sections if each.lines or each.rows or each.chart))


def _reasons(advice: Advice) -> Section:
    lines = [*advice.reasons, *(f"would fit: {each}" for each in advice.remedies)]
    lines += [f"at risk: {each}" for each in advice.risks]
    return Section("Why", tuple(lines))


def _frontier(advice: Advice) -> Iterator[Section]:
    options = advice.frontier
    if not options:
        return
    shown = advice.best or advice.nearest
    points = [_point(option, option is shown) for option in options]
    if shown is not None and all(option is not shown for option in options):
        points.append(_point(shown, True))
    yield Section(
        f"{len(options)} of {advice.considered:,} ways are beaten by no other in time, cost and CO2 at once",
        head=("devices", "provider", "run time", "80 % of cases", "cost", "80 % of cases", "kg CO2", "basis"),
        rows=tuple(_cells(option) for option in options),
        chart=scatter(points, "run time, hours", "cost, USD"),
    )


def _point(option: Option, marked: bool) -> Point:
    row = option.row
    assert row.run_time is not None and row.cost is not None
    hours = row.run_time * (1 / HOUR_S)
    name = f"{where_text(row)}: {format_duration(row.run_time.mid)}, {format_usd(row.cost.mid)}"
    return Point(name, _ends(hours), _ends(row.cost), marked)


def _ends(spread: Range) -> tuple[float, float, float]:
    return spread.low, spread.mid, spread.high


def _cells(option: Option) -> Row:
    row = option.row
    time, cost = span(row.run_time, DURATION), span(row.cost, MONEY)
    offer = row.offer
    paid = [PAID[offer.pricing]] if offer and offer.pricing in PAID else []
    provider = ", ".join([offer.provider, offer.region, *paid]) if offer else "-"
    co2 = "-" if option.co2_kg is None else three_digits(option.co2_kg)
    return (f"{row.count}× {row.device.id}", provider, *time, f"${cost[0]}", cost[1], co2, row.basis or "-")


def _beside(advice: Advice) -> Iterator[Section]:
    yield Section("Beside it", tuple(f"{each.kind}: {neighbour_text(each)}" for each in advice.neighbours))
    yield Section("On free tiers", tuple(free_text(plan) for plan in advice.free))


def _changes(advice: Advice) -> Iterator[Section]:
    if advice.savings:
        drawn = [(each.change, each.usd, saving_text(each).partition(": ")[2].partition(" (")[0])
                 for each in advice.savings]  # fmt: skip
        yield Section("What one change would do", tuple(map(saving_text, advice.savings)), chart=bars(drawn))


def _parts(row: Estimate) -> Iterator[Section]:
    if row.whole is not None:
        rows = tuple((each.name, *span(each.seconds, DURATION), each.numbers, each.source) for each in row.whole.parts)
        yield Section("Where the time goes", head=("part", "time", "80 % of cases", "how", "source"), rows=rows)
    if row.bill is not None:
        charges = tuple((each.name, f"${span(each.usd, MONEY)[0]}", span(each.usd, MONEY)[1], each.numbers, each.source)
                        for each in row.bill.charges)  # fmt: skip
        yield Section("Where the money goes", row.bill.missing,
                      ("charge", "cost", "80 % of cases", "how", "source"), charges)  # fmt: skip


def _assumptions(row: Estimate) -> Section:
    return Section("Assumed", Estimates((row,), (row.run,)).assumptions)


def _sources(advice: Advice) -> Section:
    offers = [option.row.offer for option in advice.frontier if option.row.offer is not None]
    rows = dict.fromkeys(
        (
            offer.provider,
            offer.instance,
            offer.region,
            f"{format_usd(offer.usd_per_hour)}/h",
            str(offer.as_of),
            offer.source,
        )
        for offer in offers
    )
    return Section("Prices", head=("provider", "machine", "region", "price", "as of", "source"), rows=tuple(rows))
