"""Advise: what to rent in one sentence, what is beside it, what each change would do, and whether to buy."""

from __future__ import annotations

from typing import Any, Final

import plotly.graph_objects as go
import streamlit as st

from dashboard.advice_charts import buy_or_rent_curve, tornado
from dashboard.advices import AdviceQuestion, frontier_table, hourly_costs
from dashboard.answers import hardware, profiles_of
from dashboard.asking import answered, worked_out
from dashboard.exports import MISSING, Export, chart, command_block, downloads, grid
from dashboard.figures import escaped
from dashboard.limit_boxes import limit_boxes
from dashboard.links import FRAMEWORKS
from dashboard.processes import Asked
from dashboard.run_state import Market
from dashboard.sidebar import current
from profiles.model_profile import ModelProfile

_FRONTIER: Final[dict[str, Any]] = {
    "option": st.column_config.TextColumn("Hardware", pinned=True, width=170),
    "provider": "Provider",
    "region": "Region",
    "run_time_h": st.column_config.NumberColumn("Run, h", format="localized"),
    "cost_usd": st.column_config.NumberColumn("Cost, $", format="localized"),
    "co2_kg": st.column_config.NumberColumn("CO2, kg", format="localized"),
    "precision": "Precision",
    "basis": "Basis",
}


@st.fragment
def page() -> None:
    """Draw the page for the question in the sidebar."""
    st.title("So what should I rent?")
    question = _question()
    profiles = answered(lambda: _profiles(question))
    found = worked_out(question.ask(profiles)) if profiles else None
    if found is not None:
        _advice(question, found)


def _profiles(question: AdviceQuestion) -> tuple[ModelProfile, ...] | Asked:
    """Return the profiles, once amounts and sizes have been found to be possible."""
    found = profiles_of(question.asked.run)
    if not isinstance(found, Asked):
        question.asked.run.run(found[0])
    return found


def _question() -> AdviceQuestion:
    limits = limit_boxes()
    left, right = st.columns(2, vertical_alignment="bottom")
    framework = left.selectbox(
        "Framework", FRAMEWORKS, index=None, key="framework", bind="query-params", placeholder="any"
    )
    spot = right.toggle("Machines that may be taken away, too", key="spot", bind="query-params")
    return AdviceQuestion(current(), limits, framework, spot)


def _advice(question: AdviceQuestion, found: dict[str, Any]) -> None:
    (st.success if found["answered"] else st.warning)(escaped(found["sentence"]))
    if ignored := _ignored(question.asked.market):
        st.caption(f"{ignored}: advice takes what is rented on demand, and spot where the switch says so.")
    _lines("Why", found["reasons"])
    _lines("What would make it fit", found["remedies"])
    _neighbours(found["beside"])
    _lines("At risk", found["risks"])
    figures = [*_changes(found), *_buying(found)]
    table = frontier_table(found["frontier"])
    title = f"{len(table)} of {found['considered']:,} ways are beaten by no other in time, cost and CO2"
    st.subheader(title)
    grid(table, _FRONTIER, alt="The frontier of time, cost and CO2")
    downloads(Export("flopcast-advice", found["sentence"], table, figures, lambda: found, [question.command()]))
    if found["unfit"]:
        with st.expander(f"{len(found['unfit'])} devices cannot run it, and why"):
            st.dataframe(
                [{"device": name, "why": why} for name, why in found["unfit"].items()],
                placeholder=MISSING,
                alt="Devices that cannot, and why",
            )
    command_block(question.command())


def _ignored(market: Market) -> str:
    """Say which boxes of the sidebar ask for something that advice does not look at; "" for none."""
    said = {"Pricing": market.pricing != Market().pricing, "Every offer": market.all_offers}
    named = [name for name, given in said.items() if given]
    return f"{' and '.join(named)} {'does' if len(named) == 1 else 'do'} not matter here" if named else ""


def _lines(title: str, lines: list[str]) -> None:
    if lines:
        st.markdown(f"**{title}**: " + escaped("; ".join(lines)))


def _neighbours(beside: list[dict[str, Any]]) -> None:
    for column, each in zip(st.columns(max(1, len(beside))), beside, strict=False):
        with column.container(border=True, height="stretch"):
            st.markdown(f"**{each['better'].capitalize()}**  \n{escaped(each['told'])}")
            st.caption(escaped(f"{each['better']} in {each['chance']:.0%} of cases; but {each['but']}"))


def _changes(found: dict[str, Any]) -> list[go.Figure]:
    savings = found["savings"]
    if not savings:
        return []
    best = min(savings, key=lambda each: float(each["usd"]))
    said = f"What would save most: {best['change']}" if best["usd"] < 0 else "No change would make it cheaper"
    st.subheader(said)
    figure = tornado(savings)
    chart(figure, f"What {len(savings)} changes would do to the cost", "flopcast-changes")
    return [figure]


def _buying(found: dict[str, Any]) -> list[go.Figure]:
    shown = found["recommendation"]
    costs = hourly_costs(shown["device"], hardware().database) if shown else None
    if costs is None:
        return []
    table, meet, source = costs
    worth = f"pays from {meet:.0%} of all hours on" if meet is not None else "never pays beside renting"
    st.subheader(f"{shown['device']} of your own {worth}")
    st.caption(escaped(f"{source}. `flopcast buy` takes your own price, life and electricity."))
    figure = buy_or_rent_curve(table, meet)
    chart(figure, f"An hour of {shown['device']} bought and rented over its utilisation", "flopcast-buy")
    return [figure]


page()
