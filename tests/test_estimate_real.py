"""A run on the published hardware and prices: every row sound, all kinds answered, fast enough to be interactive."""

import math

import pytest
from hand_made import profile

import hardware_db
from estimator import TrainingRun, estimate, estimate_all
from estimator.timing import BASES
from hardware_db.records import PRICINGS

RUN = TrainingRun(profile(), tokens=1e11, sequence_length=1024)


@pytest.fixture(scope="module")
def rows():
    return estimate_all(RUN, all_offers=True)


def test_every_row_has_a_time_or_a_reason(rows):
    assert len(rows) > 250
    for row in rows:
        assert (row.run_time_s is None) == (row.why_not is not None)
        assert row.why_not_kind in (None, "training", "precision", "batch", "memory", "figures", "link")


def test_every_answered_row_is_sound(rows):
    for row in rows.answered:
        for low, mid, high in (
            (row.step_time_s_low, row.step_time_s, row.step_time_s_high),
            (row.run_time_s_low, row.run_time_s, row.run_time_s_high),
            (row.cost_usd_low, row.cost_usd, row.cost_usd_high),
        ):
            assert 0 < low <= mid <= high < math.inf, row.to_dict()
        assert 0 < row.mfu < 1 and row.fits is not False
        assert row.bound in ("compute", "memory", "launch", "network") and row.basis in BASES


def test_the_basis_says_what_is_known_of_each_device(rows):
    basis = {row.device.id: row.basis for row in rows.answered}
    assert basis["a100-sxm-80gb"] == "calibrated" and basis["h200-sxm"] == "sibling" and basis["tpu-v5e"] == "datasheet"


def test_cpus_gpus_and_tpus_are_answered(rows):
    assert {row.device.kind for row in rows.answered} >= {"cpu", "gpu", "tpu"}


def test_every_price_has_a_source_and_a_date(rows):
    assert all(row.offer.source and row.offer.as_of for row in rows)


def test_a_faster_device_of_the_same_line_is_faster():
    times = [estimate(RUN, id).step_time_s for id in ("a100-sxm-80gb", "h100-sxm", "b200-sxm")]
    assert times == sorted(times, reverse=True)


def test_eight_devices_are_faster_than_one_but_not_eightfold():
    one, eight = (estimate(RUN, "h100-sxm", count) for count in (1, 8))
    assert 1 < one.step_time_s / eight.step_time_s <= 8


@pytest.mark.parametrize("pricing", PRICINGS)
def test_every_pricing_is_answered_or_refused_by_name(pricing):
    try:
        found = estimate_all(RUN, pricing=pricing)
    except hardware_db.errors.NoPrice as error:
        assert pricing.replace("_", " ") in str(error)
    else:
        assert {row.offer.pricing for row in found} == {pricing}
