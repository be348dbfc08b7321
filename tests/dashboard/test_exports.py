"""What pages show as files: CSV and JSON that read back, HTML that needs nothing from elsewhere."""

from __future__ import annotations

import json
import re
from io import StringIO

import pandas as pd
import plotly.graph_objects as go
import pytest
import streamlit as st

from dashboard.exports import Export, _precise

TABLE = pd.DataFrame({"name": ["a", "<script>alert(1)</script>"], "cost_usd": [1.5, None]})
SHOWN = Export("x", "5 < 6 & $7", TABLE, [go.Figure(go.Scatter(x=[1], y=[2], name="drawn"))], notes=["<b>assumed</b>"])


def test_csv_and_json_read_back():
    assert pd.read_csv(StringIO(SHOWN.csv())).equals(TABLE)
    rows = json.loads(SHOWN.json())
    assert rows[0] == {"name": "a", "cost_usd": 1.5} and rows[1]["cost_usd"] is None


def test_json_holds_the_document_where_there_is_one():
    assert json.loads(Export("x", "t", TABLE, document=lambda: {"schema": 1}).json()) == {"schema": 1}


def test_html_is_whole_and_runs_nothing_of_the_tables():
    page = SHOWN.html()
    assert "<h1>5 &lt; 6 &amp; $7</h1>" in page and "&lt;b&gt;assumed&lt;/b&gt;" in page
    assert "<script>alert(1)" not in page
    assert '"name":"drawn"' in page and "Plotly.newPlot" in page
    assert re.findall(r'<(?:script|link|img)[^>]+(?:src|href)="?(?:https?:)?//', page) == []


def test_html_is_read_by_people():
    table = pd.DataFrame({"cost_usd": [1.23456], "usd_per_gib": [0.000123456], "year": [2017], "split": [None]})
    page = Export("x", "t", table).html()
    for said in ("<th>Cost, USD</th>", "<th>USD per GiB</th>", "<td>1.23</td>", "<td>0.000123</td>", "<td>2017</td>"):
        assert said in page
    assert "split" not in page.lower()


@pytest.mark.parametrize(("values", "form"), [([0.00515, None], "%.6g"), ([0.5, 1234.5], "localized")])
def test_small_figures_of_a_table_are_not_cut_to_zero(values, form):
    column = st.column_config.NumberColumn("Cost, $", format="localized")
    assert _precise(column, pd.Series(values))["type_config"]["format"] == form
    assert column["type_config"]["format"] == "localized", "columns are shared by all tables"


@pytest.mark.parametrize("count", [0, 2])
def test_plotly_is_in_the_file_once(count):
    figures = [go.Figure(go.Bar(x=[1], y=[each])) for each in range(count)]
    page = Export("x", "t", TABLE, figures).html()
    assert page.count("Plotly.newPlot(") >= count
    assert (len(page) > 3e6) == (count > 0) and len(page) < 8e6
