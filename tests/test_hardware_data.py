"""The published tables, tested like code: schema, sources, and what physics and price lists allow."""

import subprocess
import sys
from collections import Counter
from dataclasses import replace
from datetime import date

import pytest

from hardware_db import Database, Device, load
from hardware_db.checks import DEVICE_RULES, check_devices, check_offers, exceptions
from hardware_db.devices import QUANTITIES
from hardware_db.rates import rates
from hardware_db.records import BASES, KINDS, Figure
from hardware_db.tables import DATA, columns, rows
from hardware_db.units import PRECISIONS, UNITS


@pytest.fixture(scope="module")
def db() -> Database:
    return load()


def with_figure(device: Device, figure: Figure) -> Device:
    return replace(device, figures=(*device.figures, figure))


def test_every_device_keeps_every_rule_or_is_a_stated_exception(db: Database) -> None:
    assert check_devices(db.devices()) == []


def test_no_exception_is_stated_in_vain(db: Database) -> None:
    idle = [key for key in exceptions() if not list(DEVICE_RULES[key[0]](db.device(key[1])))]
    assert idle == []


def test_the_rate_rules_reach_most_devices(db: Database) -> None:
    """A rule that silently skips everything would pass; it must find units, clock and rate for these many."""
    known = [d for d in db.devices() if d.compute_units and (d.peak_clock_hz or d.boost_clock_hz)]
    matrix = [d for d in known if any((d.architecture, "matrix", p) in rates() for p in d.matrix_peaks)]
    vector = [d for d in known if "float32" in d.vector_peaks and (d.architecture, "vector", "float32") in rates()]
    assert len(matrix) >= 95
    assert len(vector) >= 140


@pytest.mark.parametrize(
    ("rule", "device", "change"),
    [
        ("matrix_rate", "h100-sxm", {"matrix_peaks": {"float16": 1978.9e12}}),
        ("matrix_rate", "rtx-4090", {"matrix_peaks": {"float16": 330.3e12}}),
        ("matrix_rate", "h100-sxm", {"matrix_peaks": {"bfloat16": 1978.9e12}}),
        ("matrix_rate", "h100-sxm", {"matrix_peaks": {"float8": 3957.8e12}}),
        ("matrix_rate", "h100-sxm", {"matrix_peaks": {"tf32": 989.4e12}}),
        ("matrix_rate", "h100-sxm", {"architecture": "HOPPER", "matrix_peaks": {"bfloat16": 1978.9e12}}),
        ("matrix_rate", "mi300x", {"matrix_peaks": {"bfloat16": 2614.9e12}}),
        ("matrix_rate", "tpu-v3", {"matrix_peaks": {"bfloat16": 420e12}}),
        ("vector_rate", "mi300x", {"architecture": "Ada", "vector_peaks": {"float32": 81.7e12}}),
        ("tf32", "a100-sxm-80gb", {"matrix_peaks": {"tf32": 312e12, "bfloat16": 312e12}}),
        ("sixteen_bits", "mi250x", {"matrix_peaks": {"float16": 383e12, "bfloat16": 191.5e12}}),
        ("narrow_formats", "h100-sxm", {"matrix_peaks": {"bfloat16": 989.4e12, "float8": 3957.8e12}}),
        ("ridge_point", "l4", {"memory_bandwidth_bytes_per_s": 300e6}),
        ("matrix_over_vector", "v100-sxm2-16gb", {"matrix_peaks": {"float16": 15e12}}),
        ("links", "h100-sxm", {"link_bandwidth_bytes_per_s": 3.6e12}),
    ],
)
def test_each_rule_catches_what_public_tables_get_wrong(db: Database, rule: str, device: str, change: dict) -> None:
    good = db.device(device)
    assert not list(DEVICE_RULES[rule](good))
    assert list(DEVICE_RULES[rule](replace(good, **change)))


@pytest.mark.parametrize(
    "change",
    [{"value": 0.0}, {"unit": "GB"}, {"sources": ()}, {"retrieved": date(2999, 1, 1)}, {"precision": ""}, {}],
)
def test_a_figure_must_be_well_formed(db: Database, change: dict) -> None:
    device = db.device("h100-sxm")
    figure = next(f for f in device.figures if f.quantity == "matrix_peak")
    assert list(DEVICE_RULES["well_formed"](with_figure(device, replace(figure, **change))))


def test_every_source_key_is_explained(db: Database) -> None:
    used = {key for device in db.devices() for figure in device.figures for key in figure.sources}
    used |= {key for row in rows("devices.csv") for key in row["source"].split(";")}
    used |= {key for name in ("rates.csv", "systems.csv") for row in rows(name) for key in row["source"].split(";")}
    assert used <= db.sources.keys()


def test_no_source_is_listed_in_vain(db: Database) -> None:
    used = {key for row in rows("devices.csv") for key in row["source"].split(";")}
    for name in columns():
        if any(column["column"] == "source" for column in columns()[name]) and name != "offers.csv":
            used |= {key for row in rows(name) for key in row["source"].split(";")}
    assert db.sources.keys() - used == set()


def test_what_nobody_verified_is_marked_as_an_estimate(db: Database) -> None:
    for device in db.devices():
        for figure in device.figures:
            if figure.sources == ("unverified",):
                assert figure.basis == "estimate", (device.id, figure)


def test_tables_keep_their_schema() -> None:
    assert {path.name for path in DATA.glob("*.csv")} == columns().keys() | {"columns.csv"}
    for name, schema in columns().items():
        required = [column["column"] for column in schema if column["required"] == "yes"]
        for line, row in enumerate(rows(name), start=2):
            empty = [column for column in required if not row[column].strip()]
            assert not empty, f"{name}:{line} lacks {empty}"


def test_choices_are_known() -> None:
    for row in rows("specs.csv"):
        assert row["quantity"] in QUANTITIES
        assert row["unit"] in UNITS
        assert row["basis"] in BASES
        assert row["precision"] in ("", *PRECISIONS)
        assert row["accumulate"] in ("", "float16", "float32", "float64", "int32")
    assert {row["kind"] for row in rows("devices.csv")} == set(KINDS)


def test_ids_are_slugs_and_unique() -> None:
    ids = [row["id"] for row in rows("devices.csv")]
    assert len(ids) == len(set(ids))
    assert all(id == id.lower() and id.replace("-", "").isalnum() for id in ids)


def test_every_device_says_when_and_how_much(db: Database) -> None:
    for device in db.devices():
        assert device.figures, device.id
        assert device.release_date is None or date(2010, 1, 1) < device.release_date < date(2027, 1, 1)


def test_the_table_covers_what_is_rented_and_sold(db: Database) -> None:
    kinds = Counter(device.kind for device in db.devices())
    assert len(db.devices()) >= 194
    assert kinds["gpu"] >= 120
    assert kinds["cpu"] >= 33
    assert kinds["tpu"] == 7
    assert {"AMD", "Intel", "AWS", "Google", "NVIDIA", "Apple"} <= {device.vendor for device in db.devices()}


def test_variants_are_ordered_as_they_are_sold(db: Database) -> None:
    """PCIe and NVL parts are never above the SXM part of the same chip."""
    for slower, faster in (
        ("h100-pcie", "h100-sxm"),
        ("h100-nvl", "h100-sxm"),
        ("h200-nvl", "h200-sxm"),
        ("a100-pcie-80gb", "a100-sxm-80gb"),
        ("v100-pcie-16gb", "v100-sxm2-16gb"),
        ("l40", "l40s"),
        ("a10g", "a10"),
        ("rtx-3060-8gb", "rtx-3060-12gb"),
    ):
        first, second = db.device(slower), db.device(faster)
        assert first.peak_flops_per_s("float16") <= second.peak_flops_per_s("float16"), slower


@pytest.mark.parametrize(
    ("device", "precision", "tflops"),
    [
        ("h100-sxm", "bfloat16", 989.4),
        ("h100-sxm", "amp_bfloat16", 989.4),
        ("h100-pcie", "float16", 756.5),
        ("a100-sxm-80gb", "tf32", 156),
        ("a100-sxm-80gb", "float32", 19.49),
        ("rtx-4090", "float16", 165.2),
        ("a10g", "bfloat16", 70.04),
        ("a10", "bfloat16", 125),
        ("l4", "bfloat16", 121),
        ("v100-sxm2-16gb", "float16", 125),
        ("mi300x", "bfloat16", 1307.4),
        ("mi100", "bfloat16", 92.3),
        ("tpu-v3", "bfloat16", 123),
        ("tpu-v5e", "bfloat16", 197),
        ("trainium2", "bfloat16", 667),
        ("gtx-1080-ti", "float16", 11.34),
        ("p100-sxm2-16gb", "float16", 21.22),
    ],
)
def test_dense_peaks_that_public_tables_get_wrong(db: Database, device: str, precision: str, tflops: float) -> None:
    assert db.device(device).peak_flops_per_s(precision) == pytest.approx(tflops * 1e12)


def test_links_are_per_direction(db: Database) -> None:
    assert db.device("a100-sxm-80gb").link_bandwidth_bytes_per_s == 300e9
    assert db.device("h100-sxm").link_bandwidth_bytes_per_s == 450e9
    assert db.device("tpu-v5e").link_bandwidth_bytes_per_s == 200e9


def test_a_bridge_joins_pairs_only(db: Database) -> None:
    """Eight A6000 in a host talk over PCIe; the NVLink bridge serves two of them."""
    device = db.device("rtx-a6000")
    assert device.bridge_bandwidth_bytes_per_s == 56.25e9
    assert device.link_bandwidth_bytes_per_s == pytest.approx(31.5e9, rel=0.01)


def test_every_offer_is_possible(db: Database) -> None:
    assert check_offers(db.all_offers, db.devices_by_id) == []


def test_the_offers_cover_the_market(db: Database) -> None:
    current = db.offers()
    assert len(db.all_offers) >= 1800
    assert len(current) >= 1000
    assert len({offer.provider for offer in db.all_offers}) >= 40
    assert len({offer.provider for offer in current}) >= 25
    kinds = {db.devices_by_id[offer.device].kind for offer in current}
    assert {"gpu", "tpu", "cpu", "npu"} <= kinds
    assert {"tpu-v2", "tpu-v3", "tpu-v4", "tpu-v5e", "tpu-v5p", "tpu-v6e"} <= {offer.device for offer in current}
    for provider in ("aws", "gcp", "azure"):
        assert len({offer.region for offer in current if offer.provider == provider}) >= 5


def test_traps_of_the_price_lists_are_left_out(db: Database) -> None:
    for offer in db.all_offers:
        assert "promo" not in offer.instance.lower()
        assert not (offer.device == "tpu-v6e" and offer.device_count < 256 and offer.usd_per_hour >= 700)


@pytest.mark.parametrize(
    ("change", "fault"),
    [
        ({"usd_per_hour": 0.0}, "for 0 USD"),
        ({"usd_per_hour": -1.0}, "for -1 USD"),
        ({"usd_per_hour": 700.0, "device_count": 1}, "outside 0.02 to 60"),
        ({"usd_per_hour": 0.01, "device_count": 1}, "outside 0.02 to 60"),
        ({"device": "h1000"}, "unknown device"),
        ({"as_of": date(2999, 1, 1)}, "to come"),
        ({"source": ""}, "no source"),
        ({"cores": 4.0}, "states its cores"),
    ],
)
def test_each_impossible_offer_is_caught(db: Database, change: dict, fault: str) -> None:
    good = next(offer for offer in db.all_offers if offer.device == "h100-sxm" and offer.pricing == "on_demand")
    assert any(fault in found for found in check_offers([replace(good, **change)], db.devices_by_id))


def test_spot_above_on_demand_and_duplicates_are_caught(db: Database) -> None:
    good = next(offer for offer in db.all_offers if offer.device == "h100-sxm" and offer.pricing == "on_demand")
    spot = replace(good, pricing="spot", usd_per_hour=good.usd_per_hour * 1.01)
    assert any("above on demand" in fault for fault in check_offers([good, spot], db.devices_by_id))
    assert any("two prices" in fault for fault in check_offers([good, good], db.devices_by_id))


def test_loading_brings_no_heavy_library() -> None:
    code = (
        "import sys; from hardware_db import load; load().offers();"
        "print([m for m in ('torch', 'pandas', 'numpy', 'pydantic') if m in sys.modules])"
    )
    run = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert run.stdout.strip() == "[]"


def test_spot_is_not_dearer_than_the_dearest_fixed_price_of_its_provider(db: Database) -> None:
    fixed: dict[tuple[str, str], float] = {}
    for offer in db.offers(pricing="on_demand"):
        key = (offer.provider, offer.device)
        fixed[key] = max(fixed.get(key, 0.0), offer.usd_per_device_hour)
    for offer in db.offers(pricing="spot"):
        if db.devices_by_id[offer.device].kind != "cpu":
            assert offer.usd_per_device_hour <= fixed.get((offer.provider, offer.device), float("inf")), offer


def test_a_reserved_price_is_below_the_fixed_one_of_its_machine(db: Database) -> None:
    reserved = db.offers(pricing="reserved_1y")
    assert len(reserved) >= 50
    for offer in reserved:
        same = db.offers(offer.device, offer.provider, offer.region, "on_demand")
        prices = [other.usd_per_hour for other in same if other.instance == offer.instance]
        assert all(0.4 < offer.usd_per_hour / price < 0.75 for price in prices), offer
