"""Plan: how to split one step over many devices, what the other splits lose, and how many devices pay."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

import pandas as pd
import streamlit as st

from dashboard.answers import hardware, profile_on
from dashboard.asking import answered, worked_out
from dashboard.choosing import pick, tell_unknown
from dashboard.exports import Export, chart, command_block, downloads, grid, labelled
from dashboard.plan_charts import scaling_curve
from dashboard.plans import PlanQuestion, scaling_table, strategy_table
from dashboard.processes import Asked
from dashboard.sidebar import current
from profiles.model_profile import ModelProfile

DEFAULT_DEVICE: Final = "h100-sxm"
DEFAULT_COUNTS: Final = "8..64"
WORTH_SAYING: Final = 0.005
"""A split that loses less is as good."""
RULES: Final = {
    "knee_hours": "twice the devices are at least 1.5 times as fast",
    "knee_dollars": "a step costs at most 10 % more than at best",
}
UNPRICED: Final = "a step takes at most 10 % more device time than at best (not all of these numbers have a price)"
_COLUMNS: Final[dict[str, Any]] = {
    "devices": st.column_config.NumberColumn("Devices", format="localized", pinned=True, width=58),
    "split": st.column_config.TextColumn("Split", pinned=True, width=150),
    "slower": st.column_config.NumberColumn("Loses", format="percent", width=56),
    "step_s": st.column_config.NumberColumn("Step, s", format="localized", width=62),
    "step_range_s": st.column_config.TextColumn("Range, s", width=104),
    "usd": st.column_config.NumberColumn("$ of 1,000", format="localized", width=74, help="1,000 steps, in dollars"),
    "device_time": st.column_config.NumberColumn(
        "Device time", format="%.2f ×", width=78, help="device time of a step over that of the best number of devices"
    ),
    "mfu": st.column_config.NumberColumn("MFU", format="percent", width=54),
    "memory_gib": st.column_config.NumberColumn("GiB", format="localized", width=50, help="of each device"),
    "network": st.column_config.NumberColumn(
        "Network", format="percent", width=64, help="share of the step that waits for the network"
    ),
    "bound": st.column_config.TextColumn("Bound", width=66),
    "micro_batch": st.column_config.TextColumn("Micro × steps", width=88, help="micro-batch size × accumulation"),
    "checkpointing": st.column_config.TextColumn("Recomputes", width=82),
    "machines": st.column_config.TextColumn("Cheapest machines", width=180),
    "why_not": st.column_config.TextColumn("Why not", width=200),
}
_SPLITS: Final = {**_COLUMNS, "split": st.column_config.TextColumn("Split", pinned=True, width=220)}
SAYING_NOTHING: Final = {"checkpointing": "none", "why_not": ""}
"""Columns that are not drawn where every row says so."""


@st.fragment
def page() -> None:
    """Draw the page for the run in the sidebar."""
    st.title("How should many devices share it, and how many pay?")
    question = _question()
    profile = answered(lambda: _profile(question))
    found = worked_out(question.ask(profile)) if profile else None
    if found is not None:
        _plans(question, found)


def _profile(question: PlanQuestion) -> ModelProfile | Asked:
    """Return the profile, once the numbers of devices have been found to be possible."""
    question.numbers()
    return profile_on(question.run, hardware().database.device(question.device))


def _question() -> PlanQuestion:
    names = [device.id for device in hardware().database.devices() if device.usable_memory_bytes]
    left, right = st.columns(2)
    device = left.selectbox("Device", names, index=names.index(DEFAULT_DEVICE), key="device", bind="query-params")
    counts = right.text_input(
        "Numbers of devices",
        DEFAULT_COUNTS,
        key="scale",
        bind="query-params",
        help="64, or 8,64, or 8..512 for all doublings",
    )
    return PlanQuestion(current().run, device, (counts or DEFAULT_COUNTS).strip())


def _plans(question: PlanQuestion, answer: dict[str, Any]) -> None:
    feasible = [point for point in answer["points"] if point["plans"]]
    table = scaling_table(answer["points"])
    if not feasible:
        st.subheader(f"{question.run.named} fits none of these numbers of {question.device}")
        _table(table, "Why nothing fits")
    else:
        title = _finding(question, answer, feasible)
        st.subheader(title)
        rules = RULES if answer["priced"] else {**RULES, "knee_dollars": UNPRICED}
        st.caption("Up to a knee " + ", or ".join(rules.values()) + "; two lines where links leave it open.")
        figure = scaling_curve(answer)
        chart(figure, f"Seconds of a step over numbers of {question.device}, with the knees", "flopcast-plan", "curve")
        _table(table, "The best plan of each number of devices")
        notes = [*answer["assumptions"], question.command()]
        downloads(
            Export("flopcast-plan", title, table, [figure], lambda: answer, notes, lambda: labelled(table, _COLUMNS))
        )
        _strategies(feasible, question.device)
    command_block(question.command())
    with st.expander("What was assumed"):
        st.markdown("\n".join(f"- {line}" for line in answer["assumptions"]))


def _finding(question: PlanQuestion, answer: dict[str, Any], feasible: list[dict[str, Any]]) -> str:
    if len(feasible) == 1:
        best = feasible[0]["plans"][0]
        return f"{best['split']} is the fastest split of {feasible[0]['device_count']:,} {question.device}"
    said = [f"{_band(answer[name])} in {name.removeprefix('knee_')}" for name in RULES]
    most = feasible[-1]["device_count"]
    if all(answer[name] == [most, most] for name in RULES):
        return f"Each further {question.device} pays, up to the {most:,} asked for"
    return f"More {question.device} pay up to {' and '.join(said)}"


def _band(band: list[int]) -> str:
    least, most = band
    return f"{most:,}" if least == most else f"{least:,} to {most:,}"


def _strategies(feasible: list[dict[str, Any]], device: str) -> None:
    counts = {f"{point['device_count']:,}": point for point in feasible}
    picked = pick("Splits and files for so many devices", list(counts), "split_over", list(counts)[-1], width=300)
    point = counts[picked]
    table = strategy_table(point)
    slower = table["slower"][table["slower"] >= WORTH_SAYING]
    lost = f"; the next loses {slower.iloc[0]:.1%}" if len(slower) else ""
    st.subheader(f"{table['split'].iloc[0]} is the split of {picked} {device}{lost}")
    st.caption(f"{point['searched']:,} splits were searched, {point['fitting']:,} fit.")
    _table(table, f"Splits of a step over {picked} {device}, the one to take first", _SPLITS)
    downloads(Export("flopcast-splits", f"Splits over {picked} {device}", table, document=lambda: point["plans"]))
    _file(point["files"])


def _file(files: dict[str, dict[str, str]]) -> None:
    tell_unknown("write", list(files))
    form = st.selectbox("Write the best plan for", list(files), key="write", bind="query-params", width=300)
    found = files[form]
    if "why_not" in found:
        st.info(found["why_not"])
        return
    st.code(found["text"], language=None, wrap_lines=True)
    st.download_button("Save the file", found["text"], f"flopcast-{form}.txt", "text/plain", on_click="ignore")


def _table(table: pd.DataFrame, alt: str, columns: Mapping[str, Any] = _COLUMNS) -> None:
    silent = [name for name, word in SAYING_NOTHING.items() if name in table and (table[name] == word).all()]
    drawn = table[[name for name in columns if name in table and name not in silent]]
    grid(drawn, {name: columns[name] for name in drawn.columns}, alt)


page()
