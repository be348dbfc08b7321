"""The Hardware page: its table, its filters, one device with sources; run without a browser."""

from __future__ import annotations

from pathlib import Path

import pytest

pytest.importorskip("streamlit")
from streamlit.testing.v1 import AppTest

import hardware_db
from dashboard.devices import Shown, devices_table

APP = str(Path(__file__).parents[2] / "dashboard" / "app.py")


def hardware_page(**query: str) -> AppTest:
    page = AppTest.from_file(APP, default_timeout=60)
    for name, value in query.items():
        page.query_params[name] = value
    return page.run().switch_page("views/hardware.py").run()


def test_price_of_a_flop_and_a_gigabyte_by_hand():
    database = hardware_db.load()
    row = devices_table(database, Shown()).set_index("device").loc["h100-sxm"]
    cheapest = min(database.usd_per_whole_device_hour(o) for o in database.offers("h100-sxm", pricing="on_demand"))
    assert row["usd_per_pflop_s_hour"] == pytest.approx(cheapest / 0.9894, rel=5e-3)
    assert row["usd_per_gib_hour"] == pytest.approx(cheapest / 80, rel=5e-3)


def test_every_device_has_a_row_and_unknown_prices_come_last():
    database = hardware_db.load()
    table = devices_table(database, Shown())
    assert sorted(table["device"]) == sorted(device.id for device in database.devices())
    known = table["usd_per_pflop_s_hour"].notna().tolist()
    assert known == sorted(known, reverse=True)
    assert table["usd_per_pflop_s_hour"].dropna().is_monotonic_increasing


def test_the_page_shows_devices_figures_with_sources_and_offers():
    page = hardware_page(device="a100-sxm-80gb")
    assert not page.exception and not page.warning
    devices, figures, offers = (frame.value for frame in page.dataframe)
    assert len(devices) == len(hardware_db.load().devices())
    assert figures["sources"].str.len().min() > 0
    assert figures["source"].dropna().str.startswith("https://").all() and figures["source"].notna().any()
    assert offers["usd_per_device_hour"].is_monotonic_increasing


def test_figures_that_differ_in_what_they_sum_in_say_so():
    """The H100's tensor cores have a float16 peak with sums in float32 and one with sums in float16."""
    figures, _ = (frame.value for frame in hardware_page(device="h100-sxm").dataframe[1:])
    half = figures[figures["figure"] == "matrix peak float16"]
    assert sorted(half["sums_in"]) == ["float16", "float32"]
    assert not figures.duplicated(["figure", "sums_in"]).any()


def test_kinds_and_vendors_filter_the_table():
    page = hardware_page()
    page.multiselect(key="vendor").set_value(["Google"]).run()
    assert set(page.dataframe[0].value["vendor"]) == {"Google"}
    page.pills(key="device_kinds").set_value(["gpu"]).run()
    assert not page.exception
    assert page.dataframe[0].value.empty
