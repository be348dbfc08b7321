"""Roofline: the operations of a step under the datasheet's roof and under what the device sustains."""

from __future__ import annotations

from dataclasses import asdict
from typing import Any, Final

import pandas as pd
import streamlit as st

from dashboard.answers import hardware, profile_on
from dashboard.asking import answered
from dashboard.exports import Export, chart, command_block, downloads, grid
from dashboard.figures import rounded
from dashboard.processes import Asked
from dashboard.rooflines import Drawn, drawn
from dashboard.run_state import RunChoice
from dashboard.sidebar import current
from estimator.roofline import Bubble, Roofline
from estimator.timing import ground_of
from hardware_db import Device
from hardware_db.units import format_count, format_rate

DEFAULT_DEVICE: Final = "h100-sxm"
_COLUMNS: Final[dict[str, Any]] = {
    "operator": st.column_config.TextColumn("Operation", pinned=True, width=310),
    "phase": st.column_config.TextColumn("Phase", width=76),
    "precision": st.column_config.TextColumn("Precision", width=76),
    "calls": st.column_config.NumberColumn("Calls", format="localized", width=60),
    "share": st.column_config.NumberColumn("Share of time", format="percent", width=90),
    "flops_per_byte": st.column_config.NumberColumn("FLOPs per byte", format="localized", width=100),
    "tflop_per_s": st.column_config.NumberColumn("TFLOP/s", format="localized", width=70),
    "bound": st.column_config.TextColumn("Bound", width=70),
}


@st.fragment
def page() -> None:
    """Draw the page for the run in the sidebar on one device."""
    st.title("What holds the operations back?")
    names = [device.id for device in hardware().database.devices() if device.memory_bandwidth_bytes_per_s]
    name = st.selectbox("Device", names, index=names.index(DEFAULT_DEVICE), key="device", bind="query-params")
    device = hardware().database.device(name)
    shown = answered(lambda: _drawn(current().run, device))
    if shown is not None:
        _roofline(shown, device)
    command_block(current().step_command(device.id), "which explains the same step's time")


def _drawn(run: RunChoice, device: Device) -> Drawn | Asked:
    profile = profile_on(run, device)
    return profile if isinstance(profile, Asked) else drawn(run, profile, device)


def _roofline(shown: Drawn, device: Device) -> None:
    found = shown.found
    title = _finding(found, device.id)
    st.subheader(title)
    st.caption(
        f"{shown.sized}. Bubbles are as large as their share of the device's time; operations without arithmetic have "
        f"no place here and take {found.without_flops:.0%} of it. By the datasheet the peak binds from "
        f"{format_count(found.datasheet.ridge)} FLOPs per byte on. Zooming out shows those that take next to "
        "no time or do next to no arithmetic."
    )
    if shown.unfit:
        st.warning(shown.unfit.replace("\n", "  \n"))
    chart(shown.figure, f"Operations of a step on the roofline of {device.id}", "flopcast-roofline")
    table = pd.DataFrame([_row(bubble) for bubble in found.bubbles], columns=list(_COLUMNS))
    grid(
        table,
        _COLUMNS,
        alt="Operations with arithmetic, longest first",
    )
    notes = [shown.sized, f"Sustained: {ground_of(device.logical_device())}"]
    downloads(Export("flopcast-roofline", title, table, [shown.figure], lambda: asdict(found), notes))
    with st.expander("How it is computed"):
        st.markdown(
            f"- roof = min(peak, bandwidth × FLOPs per byte); datasheet {format_rate(found.datasheet.flops_per_s)} and "
            f"{format_rate(found.datasheet.bytes_per_s, 'B/s')}\n- sustained: {notes[1].removeprefix('Sustained: ')}\n"
            "- an operation's height is its FLOPs over the seconds predicted for it, all its calls together"
        )


def _finding(found: Roofline, device: str) -> str:
    bound = max(found.bounds, key=lambda name: found.bounds[name])
    return f"{found.bounds[bound]:.0%} of the time on {device} is bound by {bound}"


def _row(bubble: Bubble) -> dict[str, Any]:
    return {
        "operator": bubble.operator,
        "phase": bubble.phase,
        "precision": bubble.precision,
        "calls": round(bubble.calls),
        "share": bubble.share,
        "flops_per_byte": rounded(bubble.flops_per_byte),
        "tflop_per_s": rounded(bubble.flops_per_s / 1e12),
        "bound": bubble.bound,
    }


page()
