"""Accuracy: predictions beside measurements that the fit had not seen, by stratum, with sources and peers."""

from __future__ import annotations

from dataclasses import asdict
from typing import Any, Final

import pandas as pd
import streamlit as st

from dashboard.accuracies import (
    FLOPCAST,
    cases_table,
    left_out,
    left_out_of,
    left_out_report,
    legible,
    peers_table,
    strata_table,
)
from dashboard.accuracy_charts import parity_of
from dashboard.choosing import tell_unknown
from dashboard.exports import APART, Export, chart, command_block, downloads, grid
from estimator.validation.accuracy import SCHEMES

_PERCENT: Final[dict[str, Any]] = {"format": "percent", "width": 80}
_STRATA: Final[dict[str, Any]] = {
    "stratum": st.column_config.TextColumn("Stratum", pinned=True, width=150),
    "n": st.column_config.NumberColumn("Steps", format="localized", width=56),
    "median_error": st.column_config.NumberColumn("Median", **_PERCENT),
    "p90_error": st.column_config.NumberColumn("90th", **_PERCENT),
    "bias": st.column_config.NumberColumn("Bias", help="median of predicted over measured, minus 1", **_PERCENT),
    "within_20_percent": st.column_config.NumberColumn("Within 20 %", **_PERCENT),
    "source": st.column_config.TextColumn("Source", width="large"),
}
_PEERS: Final[dict[str, Any]] = {
    "predictor": st.column_config.TextColumn("Predictor", width=220),
    "cases": st.column_config.NumberColumn("Steps", width=60),
    "mean_error": st.column_config.NumberColumn("Mean error", **_PERCENT),
    "median_error": st.column_config.NumberColumn("Median error", **_PERCENT),
}
_CASES: Final[dict[str, Any]] = {
    "case": st.column_config.TextColumn("Case", pinned=True, width=88),
    "model": st.column_config.TextColumn("Model", width=170),
    "device": st.column_config.TextColumn("Device", width=116),
    "precision": st.column_config.TextColumn("Precision", width=86),
    "measured_s": st.column_config.NumberColumn("Measured, s", format="%.3g", width=80),
    "predicted_s": st.column_config.NumberColumn("Predicted, s", format="%.3g", width=80),
    "error": st.column_config.NumberColumn("Error", format="percent", width=62),
    "basis": st.column_config.TextColumn("Basis", width=76),
    "range_s": st.column_config.TextColumn("Range, s", width=120),
    "stratum": st.column_config.TextColumn("Stratum", width=120),
    "source": st.column_config.TextColumn("Source", width="large"),
}


@st.fragment
def page() -> None:
    """Draw the page; it does not depend on the run in the sidebar."""
    st.title("How far off are the predictions?")
    st.caption(APART)
    scheme = st.segmented_control(
        "Predicted by a fit that has not seen the",
        list(SCHEMES),
        default="source",
        format_func=SCHEMES.__getitem__,
        key="unseen",
        bind="query-params",
    )
    _unseen(scheme or "source")
    _beside_others()
    _shipped()
    command_block("python -m estimator.validation.accuracy", "whose strata are its sources")


def _unseen(scheme: str) -> None:
    known = left_out(scheme)
    names = sorted({case.stratum for case in known})
    tell_unknown("strata", names)
    chosen = st.multiselect("Strata", names, key="strata", bind="query-params", placeholder="all")
    strata = tuple(sorted(chosen))
    cases = left_out_of(scheme, strata)
    table = strata_table(cases)
    total = left_out_report(cases).strata[-1]
    title = (
        f"Half of {len(cases):,} steps are within {total.median_error:.0%}, nine of ten within {total.p90_error:.0%}"
    )
    st.subheader(title)
    st.caption(
        f"Published step times, each predicted by a fit without its {SCHEMES[scheme]}. Marks say what the prediction "
        "rests on: calibrated on the device, on its architecture (sibling), or the datasheet alone. Steps that would "
        "lie on one another are one mark, as dark as they are many."
    )
    figure = parity_of(scheme, strata)
    chart(figure, f"Predicted against measured time of {len(cases):,} steps", "flopcast-accuracy")
    _draw(table, _STRATA, alt="Errors by stratum")
    notes = [f"Every step was predicted by a fit without its {SCHEMES[scheme]}."]
    downloads(Export("flopcast-accuracy", title, table, [figure], lambda: [asdict(case) for case in cases], notes))


def _beside_others() -> None:
    table = peers_table()
    ours, others = table.iloc[0], table.iloc[len(FLOPCAST) :]
    best = others[others["cases"] == ours["cases"]].sort_values("mean_error").iloc[0]
    title = f"{ours['mean_error']:.1%} off on {ours['cases']} steps; {best['predictor']} {best['mean_error']:.1%}"
    st.subheader(title)
    st.caption(
        "Mean error on the steps of Lee et al., NeuSight, ASPLOS 2025, with Habitat and Li et al. as published there; "
        "not all of them answer every case."
    )
    _draw(table, _PEERS, alt="flopcast beside other predictors")
    downloads(Export("flopcast-peers", title, table))


def _shipped() -> None:
    table = cases_table()
    title = f"{len(table)} measurements ship with flopcast, each with its source"
    st.subheader(title)
    st.caption("Predicted here by the fit to all of them: what `flopcast validate` says of them.")
    _draw(table, _CASES, alt="Measurements that ship, with their sources")
    downloads(Export("flopcast-cases", title, table))


def _draw(table: pd.DataFrame, columns: dict[str, Any], alt: str) -> None:
    grid(legible(table), columns, alt=alt, column_order=list(columns))


page()
