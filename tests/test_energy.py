"""Power follows from what binds the predicted step."""

import pytest
from hand_made import device

from estimator.energy import ACTIVITY, LEAST_SHARE, energy_kwh, mean_power_w, power_share
from estimator.ranges import Range


def test_the_published_machines_are_met():
    assert power_share({"compute": 1.0}).mid == pytest.approx(8.4 / 10.2, abs=0.01)
    llama = {"compute": 0.738, "memory": 0.181, "network": 0.014, "waiting": 0.067}
    assert power_share(llama).mid == pytest.approx(0.76, abs=0.01)


def test_a_larger_batch_draws_a_kilowatt_more_as_was_measured_beside_the_fit():
    small = power_share({"compute": 0.068, "memory": 0.475, "launch": 0.387, "network": 0.003, "waiting": 0.067})
    large = power_share({"compute": 0.093, "memory": 0.832, "launch": 0.007, "network": 0.001, "waiting": 0.067})
    assert (large.mid - small.mid) * 10.2 == pytest.approx(1.0, abs=0.3)


def test_power_by_hand():
    # Idle 0.12; half of the time 0.80, half 0.32 of the 0.88 above it.
    share = power_share({"compute": 3.0, "launch": 3.0})
    assert share.mid == pytest.approx(0.12 + 0.88 * (0.80 + 0.32) / 2)
    assert share.low == pytest.approx(0.07 + 0.93 * (0.65 + 0.10) / 2)
    assert share.high == pytest.approx(0.37 + 0.63 * (1.00 + 0.70) / 2)


@pytest.mark.parametrize("bound", ACTIVITY)
def test_power_lies_between_idle_and_rated(bound):
    share = power_share({bound: 2.0})
    assert 0 < share.low < share.mid < share.high <= 1
    assert LEAST_SHARE <= share.mid <= power_share({"compute": 1.0}).mid


def test_energy_is_power_times_time():
    power = mean_power_w(device("big", tdp_w=400.0), {"memory": 0.1})
    assert power.mid == pytest.approx(400 * (0.12 + 0.88 * 0.64))
    assert energy_kwh(power, 8, Range.exactly(7200.0)).mid == pytest.approx(power.mid / 1000 * 8 * 2)


def test_nothing_is_said_of_a_device_without_a_rating():
    assert mean_power_w(device("big", tdp_w=None), {"memory": 0.1}) is None
