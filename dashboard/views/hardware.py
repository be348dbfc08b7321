"""Hardware: every device with what its arithmetic and memory cost; each figure of one device with its source."""

from __future__ import annotations

from typing import Any, Final

import pandas as pd
import streamlit as st

from dashboard.against import AGAINST
from dashboard.answers import hardware
from dashboard.choosing import tell_unknown
from dashboard.commands import command_line
from dashboard.devices import Shown
from dashboard.exports import APART, Export, chart, command_block, downloads, grid, labelled
from dashboard.figures import escaped
from dashboard.kept import history, one_device, overview
from dashboard.palette import KINDS
from hardware_db import Database, Device
from hardware_db.units import format_usd

DEFAULT_DEVICE: Final = "h100-sxm"
_COLUMNS: Final[dict[str, Any]] = {
    "device": st.column_config.TextColumn("Device", pinned=True, width=136),
    "kind": st.column_config.TextColumn("Kind", width=46),
    "vendor": st.column_config.TextColumn("Vendor", width=66),
    "year": st.column_config.NumberColumn("Year", format="%d", width=46),
    "memory_gib": st.column_config.NumberColumn("GiB", format="localized", width=50),
    "bandwidth_tb_per_s": st.column_config.NumberColumn("TB/s", format="localized", width=50),
    "peak_tflop_per_s": st.column_config.NumberColumn(
        "TFLOP/s", format="localized", width=62, help="dense peak for training: the better 16-bit one, else float32"
    ),
    "tdp_w": st.column_config.NumberColumn("W", format="localized", width=48),
    "usd_per_hour": st.column_config.NumberColumn(
        "$/h", format="localized", width=50, help="cheapest on demand, of one whole device"
    ),
    "usd_per_pflop_s_hour": st.column_config.NumberColumn("$/h per PFLOP/s", format="localized", width=106),
    "usd_per_gib_hour": st.column_config.NumberColumn("$/h per GiB", format="localized", width=80),
    "usd_per_tb_s_hour": st.column_config.NumberColumn("$/h per TB/s", format="localized", width=84),
}
_FIGURES: Final[dict[str, Any]] = {
    "figure": "Figure",
    "value": st.column_config.NumberColumn("Value", format="localized"),
    "unit": "Unit",
    "sums_in": st.column_config.TextColumn("Sums in", help="precision of the accumulator"),
    "basis": "Basis",
    "retrieved": st.column_config.DateColumn("Retrieved"),
    "source": st.column_config.LinkColumn("Source", display_text="open"),
    "sources": "Sources",
    "note": "Note",
}
_OFFERS: Final[dict[str, Any]] = {
    "provider": st.column_config.TextColumn("Provider", pinned=True, width=96),
    "instance": st.column_config.TextColumn("Instance", width=170),
    "region": st.column_config.TextColumn("Region", width=108),
    "pricing": st.column_config.TextColumn("Pricing", width=86),
    "devices": st.column_config.NumberColumn("Devices", width=60),
    "usd_per_hour": st.column_config.NumberColumn("$/h", format="localized", width=60),
    "usd_per_device_hour": st.column_config.NumberColumn("$/h per device", format="localized", width=98),
    "as_of": st.column_config.DateColumn("Price of", width=84),
    "source": "Source",
}


@st.fragment
def page() -> None:
    """Draw the page."""
    st.title("What is there, and what does it cost?")
    st.caption(APART)
    here = hardware()
    shown = _shown(here.database)
    picked = st.segmented_control(
        "Price against",
        list(AGAINST),
        default="peak",
        format_func=lambda name: AGAINST[name].cheapest,
        key="against",
        bind="query-params",
    )
    _overview(shown, picked or "peak")
    _one_device(here.database)


def _shown(database: Database) -> Shown:
    devices = database.devices()
    present = [kind for kind in KINDS if any(device.kind == kind for device in devices)]
    left, right = st.columns([3, 2])
    with left:
        kinds = st.pills(
            "Kinds of device",
            present,
            selection_mode="multi",
            format_func=lambda kind: KINDS[kind].label,
            key="device_kinds",
            bind="query-params",
        )
    vendors = sorted({device.vendor for device in devices})
    tell_unknown("vendor", vendors)
    chosen = right.multiselect("Vendors", vendors, key="vendor", bind="query-params", placeholder="all")
    return Shown(tuple(kinds), tuple(chosen))


def _overview(shown: Shown, picked: str) -> None:
    against = AGAINST[picked]
    table, figure = overview(shown, picked)
    title = f"{len(table)} devices, none of them with both a price and a figure"
    if figure is not None:
        best = table.iloc[0]
        cost = f"${best[against.unit_price]:,.3g}"
        title = f"{best['device']} is the cheapest {against.cheapest}: {cost} an hour per {against.per}"
    st.subheader(escaped(title))
    if figure is not None:
        priced = int(table[against.unit_price].notna().sum())
        st.caption(f"{priced} of {len(table)} devices have a price and the figure; lower right is better.")
        chart(figure, f"Hourly price against {against.cheapest} of {priced} devices", "flopcast-hardware")
    grid(
        table,
        _COLUMNS,
        alt=f"All devices, the cheapest {against.cheapest} first",
    )
    figures = [] if figure is None else [figure]
    downloads(Export("flopcast-hardware", title, table, figures, read=lambda: labelled(table, _COLUMNS)))
    command_block("\n".join(shown.commands()))


def _one_device(database: Database) -> None:
    names = [device.id for device in database.devices()]
    name = st.selectbox(
        "Figures, sources and offers of", names, index=names.index(DEFAULT_DEVICE), key="device", bind="query-params"
    )
    device = database.device(name)
    figures, offers = one_device(name)
    title = f"{device.name}: {len(figures)} figures with their sources"
    st.subheader(title)
    grid(
        figures,
        _FIGURES,
        alt=f"Figures of {device.id} with sources",
    )
    downloads(Export(f"flopcast-{device.id}", title, figures))
    _offers(offers, device)
    _history(device)
    command_block(command_line("hardware", [device.id], [("--sources", True)]))


def _offers(offers: pd.DataFrame, device: Device) -> None:
    if offers.empty:
        st.info(f"Nobody in the tables rents out {device.id}.")
        return
    title = f"{len(offers)} offers of {device.id}, from {format_usd(offers['usd_per_device_hour'].min())} an hour"
    st.subheader(escaped(title))
    grid(
        offers,
        _OFFERS,
        alt=f"Offers of {device.id}, cheapest first",
    )
    downloads(Export(f"flopcast-offers-{device.id}", title, offers))


def _history(device: Device) -> None:
    table, figure = history(device.id)
    if figure is None:
        return
    title = _moved(table, device.id)
    st.subheader(escaped(title))
    st.caption("Each mark is the lowest price of a provider on a day, of one device; lines join one provider's days.")
    chart(figure, f"Prices of {device.id} over time", "flopcast-prices")
    downloads(Export(f"flopcast-prices-{device.id}", title, table, [figure]))


def _moved(history: pd.DataFrame, name: str) -> str:
    """Say how the lowest on-demand price moved, from the first day with one to the last."""
    part = history[history["pricing"] == "on_demand"]
    days = part.groupby("as_of")["lowest_usd"].min()
    if len(days) < 2:
        return f"Prices of {name} by day and provider"
    first, last = (f"{format_usd(days.iloc[at])} ({days.index[at]})" for at in (0, -1))
    return f"{name}: on demand from {first} to {last}"


page()
