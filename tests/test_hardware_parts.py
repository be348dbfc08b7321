"""Parts of a device (cores, slices, dies): their figures say what their fields say."""

import pytest

from hardware_db import Database, Device, load
from hardware_db.detect_card import CardFacts, match_card
from hardware_db.detect_cpu import CpuFacts, match_cpu
from hardware_db.part import uncertain_fields


@pytest.fixture(scope="module")
def db() -> Database:
    return load()


GIB = 2**30
SHARED_FIELDS = {
    "memory": "memory_bytes",
    "memory_bandwidth": "memory_bandwidth_bytes_per_s",
    "compute_units": "compute_units",
    "l3_cache": "l3_cache_bytes",
    "tdp": "tdp_w",
}


def assert_figures_agree(device: Device) -> None:
    """Every figure of a part says what the field of its quantity says."""
    for figure in device.figures:
        if figure.quantity in SHARED_FIELDS:
            field = getattr(device, SHARED_FIELDS[figure.quantity])
            assert figure.base_value == pytest.approx(field, rel=1e-6), figure
        elif figure.quantity == "vector_peak":
            assert figure.base_value == pytest.approx(device.vector_peaks[figure.precision]), figure


def test_figures_of_a_part_do_not_contradict_its_fields(db: Database) -> None:
    """Two cores of a hidden Cascade Lake: 2 x 2.5 GHz x 64 = 0.32 TFLOP/s, all an estimate."""
    facts = CpuFacts("Intel(R) Xeon(R) Processor @ 2.50GHz", "GenuineIntel/6/85/7", frozenset(), 2, 24 * GIB)
    part = match_cpu(db, facts).device
    assert part is not None and part.compute_units == 2
    assert part.vector_peaks["float32"] == pytest.approx(0.32e12)
    assert_figures_agree(part)
    by_quantity = {figure.quantity: figure for figure in part.figures if figure.precision in ("", "float32")}
    assert by_quantity["compute_units"].basis == by_quantity["memory"].basis == "measured"
    assert by_quantity["vector_peak"].basis == "estimate" and "2 of 24 cores" in by_quantity["vector_peak"].note
    assert {"vector_peaks.float32", "memory_bandwidth_bytes_per_s"} <= set(uncertain_fields(part))
    assert "memory_bytes" not in uncertain_fields(part)


def test_a_whole_named_processor_keeps_its_published_figures(db: Database) -> None:
    row = db.device("epyc-9654")
    facts = CpuFacts(row.name, "AuthenticAMD/25/17/1", frozenset(), 96, 512 * GIB)
    part = match_cpu(db, facts).device
    assert part is not None
    assert [f for f in part.figures if f.quantity == "vector_peak"] == [
        f for f in row.figures if f.quantity == "vector_peak"
    ]
    assert_figures_agree(part)


def test_figures_of_slices_and_dies_are_their_share(db: Database) -> None:
    part = match_card(db, CardFacts("NVIDIA A100-SXM4-80GB MIG 1g.10gb")).device
    assert part is not None
    assert_figures_agree(part)
    assert "matrix_peaks.bfloat16" in uncertain_fields(part)
    die = match_card(db, CardFacts("AMD Instinct MI250X", 64 * GIB, 110, capability="gfx90a")).device
    assert die is not None and die.compute_units == 110
    assert_figures_agree(die)
