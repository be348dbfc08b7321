"""Claims: what was said about the cost of training, recomputed, and the jobs that newcomers start with."""

from __future__ import annotations

from typing import Any, Final

import pandas as pd
import streamlit as st

from dashboard import processes
from dashboard.asking import worked_out
from dashboard.choosing import tell_unknown
from dashboard.exports import APART, Export, command_block, downloads, grid
from dashboard.figures import escaped, rounded

_LINES: Final[dict[str, Any]] = {
    "when": st.column_config.TextColumn("", width=70),
    "what": st.column_config.TextColumn("What", width=190),
    "value": st.column_config.NumberColumn("Figure", format="localized", width=90),
    "unit": st.column_config.TextColumn("Unit", width=110),
    "how": st.column_config.TextColumn("How", width="large"),
}
_JOBS: Final[dict[str, Any]] = {
    "job": st.column_config.TextColumn("Job", pinned=True, width=200),
    "place": st.column_config.TextColumn("Place", width=150),
    "hours": st.column_config.NumberColumn("Hours", format="localized"),
    "usd": st.column_config.NumberColumn("USD", format="localized"),
    "calendar_days": st.column_config.NumberColumn("Calendar days", format="localized"),
    "note": st.column_config.TextColumn("Note", width="large"),
}


@st.fragment
def page() -> None:
    """Draw the page; it does not depend on the run in the sidebar."""
    st.title("Was it true what they said?")
    st.caption(APART)
    asked = processes.ask("dashboard.claiming", "", "Recomputing the claims")
    found = worked_out(asked)
    if found is not None:
        _claims(found["claims"])
        _newcomers(found["newcomers"])


def _claims(claims: list[dict[str, Any]]) -> None:
    titles = {claim["title"]: claim for claim in claims}
    tell_unknown("claim", list(titles))
    picked = st.selectbox("Claim", list(titles), key="claim", bind="query-params")
    claim = titles[picked]
    st.subheader(escaped(picked))
    st.markdown(f"**Claimed**: {escaped(claim['said'])}.")
    table = pd.DataFrame(
        [
            {"when": when, **line, "value": rounded(line["value"])}
            for when, lines in (("then", claim["then"]), ("flopcast", claim["now"]))
            for line in lines
        ],
        columns=list(_LINES),
    )
    grid(table, _LINES, alt=f"{picked}, recomputed")
    st.markdown(escaped(claim["verdict"]))
    st.caption("Sources: " + escaped("; ".join(claim["sources"])))
    notes = [claim["verdict"], "Sources: " + "; ".join(claim["sources"])]
    downloads(Export(f"flopcast-{claim['key']}", picked, table, document=lambda: claim, notes=notes))
    command_block(f"flopcast claims {claim['key']}")


def _newcomers(rows: list[dict[str, Any]]) -> None:
    title = _finding(rows)
    st.subheader(title)
    st.caption("Wall-clock hours and money on demand; calendar days where a free tier cuts the run into sessions.")
    table = pd.DataFrame(rows, columns=list(_JOBS))
    for name in ("hours", "usd", "calendar_days"):
        table[name] = [None if pd.isna(value) else rounded(value) for value in table[name]]
    grid(table, _JOBS, alt="Jobs of newcomers in every place")
    downloads(Export("flopcast-newcomers", title, table))


def _finding(rows: list[dict[str, Any]]) -> str:
    jobs = {row["job"] for row in rows}
    free = {row["job"] for row in rows if row["usd"] == 0 and row["calendar_days"] <= 1}
    return f"{len(free)} of {len(jobs)} jobs that newcomers start with cost nothing and take less than a day somewhere"


page()
