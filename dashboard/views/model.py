"""Model: what one training step computes, moves and holds, module by module and moment by moment."""

from __future__ import annotations

from typing import Final

import streamlit as st

from dashboard.answers import Pending, hardware, profiles_of
from dashboard.asking import waiting
from dashboard.links import QUANTITIES
from dashboard.model_charts import icicle, largest_groups, memory_timeline
from dashboard.sidebar import current
from hardware_db.errors import FlopcastError
from hardware_db.units import format_bytes, format_count, format_flops
from profiles.breakdown import by_label
from profiles.model_profile import ModelProfile

DEFAULT_DEVICE: Final = "h100-sxm"
PLAIN: Final = {"displaylogo": False}


def page() -> None:
    """Draw the page for the model in the sidebar, in the first precision that answers."""
    st.title("What does one step compute, move and hold?")
    run = current().run
    try:
        found = profiles_of(run)
        if isinstance(found, Pending):
            waiting(found.counting)
            return
        profile = found[0].at(run.micro_batch_size, run.sequence_length)
    except FlopcastError as error:
        st.error(str(error))
        return
    _totals(profile)
    _breakdown(profile)
    _memory(profile)


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


def _breakdown(profile: ModelProfile) -> None:
    quantity = st.segmented_control(
        "Break down", list(QUANTITIES), default="flops", format_func=QUANTITIES.__getitem__, key="of"
    )
    quantity = quantity or "flops"
    st.subheader(f"Modules by their {QUANTITIES[quantity]}")
    st.plotly_chart(
        icicle(profile, quantity), config=PLAIN, alt=f"Modules of {profile.model} by {QUANTITIES[quantity]}"
    )
    operators = by_label(profile, "operator")
    first = max(operators, key=lambda row: row.flops.total)
    share = first.flops.total / max(profile.flops.total, 1)
    st.subheader(f"{first.name} does {share:.0%} of the FLOPs")
    st.plotly_chart(largest_groups(operators, quantity), config=PLAIN, alt=f"Largest operators of {profile.model}")
    if profile.uncounted:
        names = ", ".join(f"{each.operator} ({each.calls} calls)" for each in profile.uncounted)
        st.warning(f"Without a formula, their FLOPs are estimates: {names}")


def _memory(profile: ModelProfile) -> None:
    timeline = profile.trace.recording.timeline
    if timeline is None or not timeline.moments:
        st.info("This profile has no timeline of live bytes.")
        return
    names = [device.id for device in hardware().database.devices() if device.usable_memory_bytes]
    name = st.selectbox(
        "Against the memory of", names, index=names.index(DEFAULT_DEVICE), key="device", bind="query-params"
    )
    peak = profile.memory
    place = f"{peak.peak_phase}, {peak.peak_module or 'the model'}"
    st.subheader(f"At most {profile.peak_memory_bytes / 2**30:.3g} GiB are alive, in {place}")
    st.caption("Tensors only, of one micro-batch; the Estimate page adds the context and the allocator's blocks.")
    moments = timeline.at(profile.batch_size, profile.sequence_length)
    st.plotly_chart(
        memory_timeline(moments, hardware().database.device(name)),
        config=PLAIN,
        alt=f"Bytes alive through one step of {profile.model} against the memory of {name}",
    )


page()
