"""Hardware: every device with what its arithmetic and memory cost; each figure of one device with its source."""

from __future__ import annotations

from typing import Any, Final

import pandas as pd
import streamlit as st

from dashboard.answers import hardware
from dashboard.device_charts import price_of_arithmetic
from dashboard.devices import Shown, devices_table, figures_table, offers_table
from dashboard.palette import KINDS
from hardware_db import Database

DEFAULT_DEVICE: Final = "h100-sxm"
_COLUMNS: Final[dict[str, Any]] = {
    "device": st.column_config.TextColumn("Device", pinned=True, width=140),
    "kind": st.column_config.TextColumn("Kind", width=50),
    "vendor": st.column_config.TextColumn("Vendor", width=70),
    "year": st.column_config.NumberColumn("Year", format="%d", width=50),
    "memory_gib": st.column_config.NumberColumn("GiB", format="localized", width=55),
    "bandwidth_tb_per_s": st.column_config.NumberColumn("TB/s", format="localized", width=55),
    "peak_tflop_per_s": st.column_config.NumberColumn(
        "TFLOP/s", format="localized", width=70, help="dense peak for training: the better 16-bit one, else float32"
    ),
    "tdp_w": st.column_config.NumberColumn("W", format="localized", width=55),
    "usd_per_hour": st.column_config.NumberColumn(
        "$/h", format="localized", width=60, help="cheapest on demand, of one whole device"
    ),
    "usd_per_pflop_s_hour": st.column_config.NumberColumn("$/h per PFLOP/s", format="localized", width=110),
    "usd_per_gib_hour": st.column_config.NumberColumn("$/h per GiB", format="localized", width=85),
}
_FIGURES: Final[dict[str, Any]] = {
    "figure": "Figure",
    "value": st.column_config.NumberColumn("Value", format="localized"),
    "unit": "Unit",
    "basis": "Basis",
    "retrieved": st.column_config.DateColumn("Retrieved"),
    "source": st.column_config.LinkColumn("Source", display_text="open"),
    "sources": "Sources",
    "note": "Note",
}
_OFFERS: Final[dict[str, Any]] = {
    "usd_per_hour": st.column_config.NumberColumn("$/h", format="localized"),
    "usd_per_device_hour": st.column_config.NumberColumn("$/h per device", format="localized"),
    "as_of": st.column_config.DateColumn("Price of"),
}


def page() -> None:
    """Draw the page."""
    st.title("What is there, and what does it cost?")
    database = hardware().database
    table = devices_table(database, _shown(database))
    _overview(table)
    _one_device(database)


def _shown(database: Database) -> Shown:
    devices = database.devices()
    present = [kind for kind in KINDS if any(device.kind == kind for device in devices)]
    left, right = st.columns(2)
    with left:
        kinds = st.pills(
            "Kinds of device",
            present,
            selection_mode="multi",
            format_func=lambda kind: KINDS[kind].label,
            key="device_kinds",
            bind="query-params",
        )
    vendors = right.multiselect(
        "Vendors", sorted({device.vendor for device in devices}), key="vendor", bind="query-params", placeholder="all"
    )
    return Shown(tuple(kinds), tuple(vendors))


def _overview(table: pd.DataFrame) -> None:
    priced = table[table["usd_per_pflop_s_hour"].notna()]
    if priced.empty:
        st.subheader(f"{len(table)} devices, none of them with both a price and a peak")
    else:
        best = priced.iloc[0]
        cost = f"\\${best['usd_per_pflop_s_hour']:,.3g}"
        st.subheader(f"{best['device']} is the cheapest arithmetic: {cost} an hour per PFLOP/s")
        st.caption(f"{len(priced)} of {len(table)} devices have a price and a peak; lower right is better.")
        st.plotly_chart(
            price_of_arithmetic(priced),
            config={"displaylogo": False},
            alt=f"Hourly price against peak arithmetic of {len(priced)} devices",
        )
    st.dataframe(table, hide_index=True, column_config=_COLUMNS, alt="All devices, the cheapest arithmetic first")
    st.download_button("CSV", lambda: table.to_csv(index=False), "flopcast-hardware.csv", "text/csv", on_click="ignore")


def _one_device(database: Database) -> None:
    names = [device.id for device in database.devices()]
    name = st.selectbox(
        "Figures, sources and offers of", names, index=names.index(DEFAULT_DEVICE), key="device", bind="query-params"
    )
    device = database.device(name)
    figures, offers = figures_table(database, device), offers_table(database, device)
    st.subheader(f"{device.name}: {len(figures)} figures with their sources")
    st.dataframe(figures, hide_index=True, column_config=_FIGURES, alt=f"Figures of {device.id} with sources")
    if offers.empty:
        st.info(f"Nobody in the tables rents out {device.id}.")
        return
    st.subheader(f"{len(offers)} offers")
    st.dataframe(offers, hide_index=True, column_config=_OFFERS, alt=f"Offers of {device.id}, cheapest first")


page()
