"""Model: what one training step computes, moves and holds, module by module and moment by moment."""

from __future__ import annotations

import json
from typing import Final

import plotly.graph_objects as go
import streamlit as st

from dashboard.answers import hardware, period, profiles_of, sized
from dashboard.asking import answered
from dashboard.exports import Export, chart, command_block, downloads
from dashboard.kept import alive
from dashboard.links import QUANTITIES
from dashboard.model_charts import icicle, largest_groups, largest_operator, largest_part, operators_of
from dashboard.processes import Asked
from dashboard.run_state import RunChoice
from dashboard.sidebar import current
from hardware_db import Device
from hardware_db.units import format_bytes, format_count, format_flops
from profiles.model_profile import ModelProfile

DEFAULT_DEVICE: Final = "h100-sxm"


@st.fragment
def page() -> None:
    """Draw the page for the model in the sidebar, in the first precision that answers."""
    st.title("What does one step compute, move and hold?")
    run = current().run
    profile = answered(lambda: _profile(run))
    if profile is None:
        return
    _totals(profile)
    figures = [*_breakdown(profile), *_memory(profile)]
    command = run.profile_command(profile)
    downloads(_export(profile, figures, command))
    command_block(command)


def _profile(run: RunChoice) -> ModelProfile | Asked:
    found = profiles_of(run)
    return found if isinstance(found, Asked) else sized(found[0], run.micro_batch_size, run.sequence_length, None)


def _export(profile: ModelProfile, figures: list[go.Figure], command: str) -> Export:
    title = f"{profile.model}, batch {profile.batch_size}, {profile.precision}"
    notes = ["One multiply-add is 2 FLOPs.", *profile.notes, command]
    return Export("flopcast-model", title, profile.to_frame, figures, lambda: json.loads(profile.to_json()), notes)


def _totals(profile: ModelProfile) -> None:
    tokens = f" × {profile.sequence_length:,} tokens" if profile.sequence_length else ""
    st.caption(
        f"{profile.model}, batch {profile.batch_size}{tokens}, {profile.precision}, {profile.optimizer}; "
        "the micro-batch size in the sidebar changes the batch. One multiply-add is 2 FLOPs."
    )
    figures = (
        ("Parameters", format_count(profile.parameters)),
        ("FLOPs of a step", format_flops(profile.flops.total).removesuffix("FLOP")),
        ("Bytes moved", format_bytes(profile.bytes_moved.total)),
        ("FLOPs per byte", f"{profile.arithmetic_intensity:,.3g}"),
    )
    for column, (label, value) in zip(st.columns(4), figures, strict=True):
        column.metric(label, value, border=True)


def _breakdown(profile: ModelProfile) -> list[go.Figure]:
    quantity = st.segmented_control(
        "Break down",
        list(QUANTITIES),
        default="flops",
        format_func=QUANTITIES.__getitem__,
        key="of",
        bind="query-params",
    )
    quantity = quantity or "flops"
    module, of_all = largest_part(profile, quantity)
    st.subheader(f"{module} has {of_all:.0%} of the {QUANTITIES[quantity]}")
    figures = [icicle(profile, quantity)]
    chart(figures[0], f"Modules of {profile.model} by {QUANTITIES[quantity]}", "flopcast-modules")
    operators = operators_of(profile)
    operator, share = largest_operator(operators, quantity)
    st.subheader(
        f"{operator} {'does' if quantity == 'flops' else 'moves'} {share:.0%} of the "
        + ("FLOPs" if quantity == "flops" else "bytes")
    )
    figures.append(largest_groups(operators, quantity))
    chart(figures[1], f"Largest operators of {profile.model}", "flopcast-operators")
    if profile.uncounted:
        names = ", ".join(f"{each.operator} ({each.calls} calls)" for each in profile.uncounted)
        st.warning(f"Without a formula, their FLOPs are estimates: {names}")
    return figures


def _memory(profile: ModelProfile) -> list[go.Figure]:
    timeline = profile.trace.recording.timeline
    if timeline is None or not timeline.moments:
        st.info("This profile has no timeline of live bytes.")
        return []
    names = [device.id for device in hardware().database.devices() if device.usable_memory_bytes]
    name = st.selectbox(
        "Against the memory of", names, index=names.index(DEFAULT_DEVICE), key="device", bind="query-params"
    )
    device = hardware().database.device(name)
    st.subheader(_peak(profile, device))
    st.caption("Tensors only, of one micro-batch; the Estimate page adds the context and the allocator's blocks.")
    figure = alive(profile, name, period())
    alt = f"Bytes alive through one step of {profile.model} against the memory of {name}"
    chart(figure, alt, "flopcast-memory")
    return [figure]


def _peak(profile: ModelProfile, device: Device) -> str:
    most, there = profile.peak_memory_bytes, device.usable_memory_bytes
    place = f"{profile.memory.peak_phase} of {profile.memory.peak_module or 'the model'}"
    share = f": {most / there:.0%} of {device.id}" if there else ""
    return f"At most {most / 2**30:.3g} GiB are alive, in {place}{share}"


page()
