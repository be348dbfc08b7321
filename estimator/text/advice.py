"""Advice as text: one sentence, then why, what is beside it, what each change would do, and what may go wrong."""

from __future__ import annotations

import math
from collections.abc import Iterator
from typing import TYPE_CHECKING, Final

from estimator.text.estimates import hardware_text, parts_text, work_text
from estimator.text.figures import DURATION, MONEY, span, three_digits, two_digits
from estimator.text.notes import flow, notes
from estimator.text.page import Page
from estimator.text.table import Column, Row, table
from hardware_db.units import format_count, format_duration, format_usd

if TYPE_CHECKING:
    from estimator.advice.free_tier import FreePlan
    from estimator.advice.result import Advice, Neighbour, Option, Saving
    from estimator.result import Estimate

FRONTIER_SHOWN: Final = 8
SAVINGS_SHOWN: Final = 8
OLD_PRICE_DAYS: Final = 30
COMMITTED_H: Final = {"reserved_1y": 365 * 24, "reserved_3y": 3 * 365 * 24}
"""How an offer is paid -> hours that are paid whatever is used."""
NO_GPU_S: Final = 3600.0
"""A run that a laptop's processor ends within the hour needs no GPU."""

SOFTWARE: Final = {"tpu": "needs JAX or torch/XLA", "npu": "needs the maker's own software (Neuron, Gaudi's bridge)"}
"""Kind of device -> what training on it needs besides PyTorch."""

PAID: Final = {"spot": "spot", "reserved_1y": "reserved for 1 year", "reserved_3y": "reserved for 3 years"}
"""How an offer is paid -> what is said of it, where it is not on demand."""

GUARANTEES: Final = {
    "measured": "measured on this hardware",
    "calibrated": "fitted to published steps of this hardware",
    "sibling": "fitted to published steps of a relative of this hardware",
    "datasheet": "from the datasheet of this hardware only",
    "given": "by the MFU that was given",
}
COLUMNS = (
    Column("HARDWARE", align="left"),
    Column("PROVIDER", align="left", drop=2),
    Column("REGION", align="left", drop=1),
    Column("RUN TIME", gap=1),
    Column("RANGE", drop=4),
    Column("COST", gap=1),
    Column("RANGE", drop=5),
    Column("CO2", "kg", drop=3),
)


def advice_text(advice: Advice, page: Page | None = None) -> str:
    """Return the whole answer."""
    page = page or Page()
    lines = [*_reasons(advice), *_neighbours(advice), *_savings(advice), *_free(advice), *_footer(advice, page.width)]
    shown = advice.frontier[:FRONTIER_SHOWN]
    more = len(advice.frontier) - len(shown)
    rows = [Row(_cells(option)) for option in shown]
    rest = [f"…{more} more: --json"] if more > 0 else []
    title = f"Frontier: {len(advice.frontier)} of {advice.considered:,} that no other beats in time, cost and CO2"
    return page.render(sentence(advice), "", notes(lines), "", title, *table(COLUMNS, rows, page.width), *rest)


def sentence(advice: Advice) -> str:
    """Return the recommendation in one sentence."""
    if advice.best is None:
        return _nothing(advice)
    if (alone := no_gpu(advice)) is not None:
        return alone
    row = advice.best.row
    return f"{_verb(row)} {where_text(row)}: about {span(row.run_time, DURATION)[0]} and {_money(row)}."


def no_gpu(advice: Advice) -> str | None:
    """Return that no GPU is needed, where a laptop ends within the hour and within the limits; else None."""
    laptop = advice.laptop
    if laptop is None or laptop.run_time is None or laptop.run_time.high > NO_GPU_S:
        return None
    if laptop.run_time.high > (advice.wishes.deadline_s or math.inf):
        return None
    assert advice.best is not None
    rented = f"{hardware_text(advice.best.row)} takes {span(advice.best.row.run_time, DURATION)[0]}"
    return (
        f"You do not need a GPU for this: a laptop's {laptop.device.name} takes about "
        f"{span(laptop.run_time, DURATION)[0]} ({rented} and {_money(advice.best.row)})."
    )


def reasons(advice: Advice) -> tuple[str, ...]:
    """Return why the recommendation is what it is."""
    option = advice.best
    if option is None or option.row.step_time is None:
        return ()
    row, said = option.row, []
    said.append(GUARANTEES.get(row.basis or "", row.basis or ""))
    if row.peak_memory_bytes and row.memory_bytes:
        used, has = (two_digits(size, 2**30) for size in (row.peak_memory_bytes, row.memory_bytes))
        said.append(f"fits in {used} of {has} GiB")
    said += _slack(option, advice)
    if option.chances:
        said.append(
            f"keeps {'every limit' if len(option.chances) > 1 else 'the limit'} in {option.chance:.0%} of cases"
        )
    if not advice.wishes.limits:
        said.append("without limits: the least time × cost of the frontier")
    return tuple(part for part in said if part)


def _slack(option: Option, advice: Advice) -> Iterator[str]:
    """Say how far the limits are."""
    row, wishes = option.row, advice.wishes
    if wishes.budget_usd is not None and row.cost is not None:
        yield f"{format_usd(wishes.budget_usd - row.cost.mid)} under budget"
    if wishes.deadline_s is not None and row.run_time is not None:
        yield f"{format_duration(wishes.deadline_s - row.run_time.mid)} before the deadline"
    if wishes.max_co2_kg is not None and option.co2_kg is not None:
        yield f"{three_digits(wishes.max_co2_kg - option.co2_kg)} kg of CO2 below the limit"


def risks(advice: Advice) -> tuple[str, ...]:
    """Return what may turn out otherwise."""
    option = advice.best or advice.nearest
    if option is None:
        return ()
    return tuple(_risks(advice, option))


def _risks(advice: Advice, option: Option) -> Iterator[str]:
    row = option.row
    if advice.refused:
        yield advice.refused
    if row.whole is not None and row.whole.stops.mid >= 0.05:
        causes = " or ".join(each.cause for each in row.whole.hazards)
        yield f"{row.whole.stops.mid:.2g} {causes} expected; checkpoints every {format_duration(row.whole.interval_s)}"
    if row.offer is not None and row.offer.provider != "own" and row.offer.age_days() > OLD_PRICE_DAYS:
        yield f"the price is {row.offer.age_days()} days old ({row.offer.as_of})"
    if row.offer is not None and row.offer.kind == "marketplace":
        yield "a marketplace: prices and machines change from hour to hour"
    if row.offer is not None and row.rental is not None and (committed := COMMITTED_H.get(row.offer.pricing)):
        whole = format_usd(row.rental.usd_per_hour * committed)
        yield f"the whole reservation is {whole}, whatever of it is used; counted are the hours of this run"
    if row.basis in ("datasheet", "sibling"):
        yield f"nobody has measured steps on {row.device.id}"
    if row.device.kind in SOFTWARE:
        yield SOFTWARE[row.device.kind]
    if advice.runs[0].overheads is not None and advice.runs[0].overheads.data_samples_per_s is None:
        yield "time spent loading data is not counted (flopcast benchmark --dataloader, --data-rate)"
    yield from option.emissions.assumed if option.emissions and "max_co2_kg" in advice.wishes.limits else ()


def _nothing(advice: Advice) -> str:
    wishes, limits = advice.wishes, []
    if wishes.budget_usd is not None:
        limits.append(format_usd(wishes.budget_usd))
    if wishes.deadline_s is not None:
        limits.append(format_duration(wishes.deadline_s))
    if wishes.max_co2_kg is not None:
        limits.append(f"{wishes.max_co2_kg:g} kg of CO2")
    asked = " and ".join(limits) or "any device that was asked for"
    if advice.nearest is None:
        return f"Nothing fits {asked}: no device can run it as asked."
    row = advice.nearest.row
    took = f"{span(row.run_time, DURATION)[0]} and {_money(row)}"
    return f"Nothing fits {asked}. Nearest: {where_text(row)}, {took} ({', '.join(_over(advice))})."


def _over(advice: Advice) -> Iterator[str]:
    option, wishes = advice.nearest, advice.wishes
    assert option is not None
    figures = (
        ("budget", option.row.cost_usd, wishes.budget_usd),
        ("deadline", option.row.run_time_s, wishes.deadline_s),
        ("CO2", option.co2_kg, wishes.max_co2_kg),
    )
    for name, value, limit in figures:
        if value is not None and limit is not None and value > limit:
            yield f"{two_digits(value / limit)} times the {name}"


def _verb(row: Estimate) -> str:
    return "Use your own" if row.offer is not None and row.offer.provider == "own" else "Rent"


def where_text(row: Estimate) -> str:
    """Return devices, provider, region, and how they are paid."""
    if row.offer is None or row.offer.provider == "own":
        return hardware_text(row)
    told = [row.offer.region] if row.offer.region not in ("global", "-") else []
    told += [PAID[row.offer.pricing]] if row.offer.pricing in PAID else []
    return f"{hardware_text(row)} from {row.offer.provider}" + (f" ({', '.join(told)})" if told else "")


def _money(row: Estimate) -> str:
    return f"${span(row.cost, MONEY)[0]}"


def _reasons(advice: Advice) -> Iterator[tuple[str, str]]:
    if why := reasons(advice):
        yield "Why", ", ".join(why)
    for place, text in enumerate(advice.remedies):
        yield "Would fit" if not place else "", text
    shown = advice.best or advice.nearest
    if shown is not None and shown.row.whole is not None:
        yield "Run time", parts_text(shown.row.whole)
        yield "Limits", f"{shown.row.bound}; what each change does is below"


def _neighbours(advice: Advice) -> Iterator[tuple[str, str]]:
    for each in advice.neighbours:
        yield each.kind.capitalize(), neighbour_text(each)


def neighbour_text(each: Neighbour) -> str:
    """Return "1× l4 from gcp, 14 h, $6.5 (cheaper in 93 % of cases) - but twice as long"."""
    option = each.option
    green = f", {three_digits(option.co2_kg)} kg CO2" if option.co2_kg is not None and each.kind == "greener" else ""
    text = f"{where_text(option.row)}, {span(option.row.run_time, DURATION)[0]}, {_money(option.row)}{green}"
    sure = f" ({_sure(each)})" if each.chance < 0.995 else ""
    return f"{text}{sure} - but {each.but}" if each.but else f"{text}{sure}"


def _sure(each: Neighbour) -> str:
    verb = "keeps the limits" if each.kind == "safer" else each.kind
    return f"{verb} in {each.chance:.0%} of cases"


def _savings(advice: Advice) -> Iterator[tuple[str, str]]:
    for place, saving in enumerate(advice.savings[:SAVINGS_SHOWN]):
        yield "Changes" if not place else "", saving_text(saving)


def saving_text(saving: Saving) -> str:
    """Return "spot: -$12.0, +1.20 h (aws us-east-1, 0.4 stops expected)"."""
    money = f"{'-' if saving.usd < 0 else '+'}${span_of(abs(saving.usd), MONEY)}"
    longer = f"{'-' if saving.seconds < 0 else '+'}{span_of(abs(saving.seconds), DURATION)}"
    hours = longer if abs(saving.seconds) >= 1 else "same time"
    return f"{saving.change}: {money}, {hours}" + (f" ({saving.note})" if saving.note else "")


def span_of(value: float, scale: tuple[tuple[float, float, str], ...]) -> str:
    """Return a figure with its unit."""
    factor, unit = next((factor, unit) for least, factor, unit in scale if value >= least)
    return three_digits(value / factor) + unit


def _free(advice: Advice) -> Iterator[tuple[str, str]]:
    for place, plan in enumerate(advice.free):
        yield "Free" if not place else "", free_text(plan)


def free_text(plan: FreePlan) -> str:
    """Return what a run takes on a free tier."""
    name = f"{plan.tier.service} {plan.tier.device_count}× {plan.tier.device}"
    if plan.run_time is None or plan.why_not:
        return f"{name}: {plan.why_not.partition(' GiB: ')[0]}"
    if plan.sessions == 1:
        return f"{name}: {span(plan.run_time, DURATION)[0]} in one session"
    return f"{name}: {span(plan.run_time, DURATION)[0]} in {plan.sessions} sessions, {plan.calendar_days:,.0f} days"


def _footer(advice: Advice, width: int) -> Iterator[tuple[str, str]]:
    run = advice.runs[0]
    asked = [run.profile.model, f"{format_count(run.profile.parameters)} parameters", work_text(run)]
    if said := risks(advice):
        yield "At risk", flow(said, max(40, width - 14))
    yield "Asked", flow([*asked, f"batch {run.global_batch_size:,}"], max(40, width - 14))


def _cells(option: Option) -> list[str]:
    row = option.row
    time, cost = span(row.run_time, DURATION), span(row.cost, MONEY)
    co2 = "-" if option.co2_kg is None else three_digits(option.co2_kg)
    offer = row.offer
    paid = f" {offer.pricing.replace('_', ' ')}" if offer and offer.pricing in PAID else ""
    place = [f"{offer.provider}{paid}", offer.region] if offer else ["-", "-"]
    return [hardware_text(row), *place, *time, f"${cost[0]}", cost[1], co2]
