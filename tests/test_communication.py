"""Ring all-reduce: worked by hand, on links inside and between machines."""

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from estimator.communication import DDP_BUCKET_BYTES, Fabric, Link, Unlinked, all_reduce_s, exposed_s, ring_link
from estimator.ranges import Range

BOX = Fabric("box", joined=8, inner_bytes_per_s=300e9, outer_bytes_per_s=200e9)


def test_inside_a_machine_the_fast_link_counts():
    assert ring_link(BOX, 4) == Link("intra_node", 4, 1, 300e9)


def test_between_machines_the_slower_of_both_counts():
    assert ring_link(BOX, 24) == Link("inter_node", 24, 3, 200e9)
    fast_network = Fabric("box", 8, 300e9, 800e9)
    assert ring_link(fast_network, 16) == Link("inter_node", 16, 2, 300e9)


def test_single_devices_need_no_inner_link():
    assert ring_link(Fabric("single", 1, None, 10e9), 4) == Link("inter_node", 4, 4, 10e9)


@pytest.mark.parametrize(
    ("fabric", "count", "reason"),
    [
        (Fabric("box", 8, None, 1e9), 2, "no bandwidth between the devices of box"),
        (Fabric("box", 8, 1e9, None), 9, "no network between machines of box is known"),
    ],
)
def test_an_unknown_link_is_said_not_guessed(fabric, count, reason):
    found = ring_link(fabric, count)
    assert isinstance(found, Unlinked)
    assert found.reason.startswith("link unknown: ") and reason in found.reason


def test_all_reduce_by_hand():
    # 8 devices, 1 GB, 300 GB/s: 2 * 7/8 GB / (0.8 * 300 GB/s) + 2 * 7 hops of 5.7 us
    seconds = all_reduce_s(1e9, Link("intra_node", 8, 1, 300e9))
    assert seconds.mid == pytest.approx(1.75e9 / 240e9 + 14 * 5.7e-6, rel=1e-12)
    assert seconds.low == pytest.approx(1.75e9 / 270e9 + 14 * 5.7e-6, rel=1e-12)
    assert seconds.high == pytest.approx(1.75e9 / 180e9 + 14 * 5.7e-6, rel=1e-12)


def test_latency_between_machines_by_hand():
    # 16 devices on 2 machines: 15 hops, of which 2 leave a machine
    seconds = all_reduce_s(0, Link("inter_node", 16, 2, 200e9))
    assert seconds.mid == pytest.approx(2 * (2 * 14.0e-6 + 13 * 5.7e-6), rel=1e-12)


def test_one_device_sends_nothing():
    assert all_reduce_s(1e9, ring_link(Fabric("any", 1, None, None), 1)) == Range(0.0, 0.0, 0.0)


@given(count=st.integers(2, 4096), size=st.floats(1, 1e12))
def test_bytes_on_the_wire_stay_below_twice_the_payload(count, size):
    link = Link("intra_node", count, 1, 1e9)
    wire_s = all_reduce_s(size, link).mid - all_reduce_s(0, link).mid
    assert wire_s <= 2 * size / 0.8e9 * (1 + 1e-9)
    assert wire_s >= size / 0.8e9 * (1 - 1e-6) - 1e-9


def test_what_backward_hides():
    sent, gradients = Range(1.0, 2.0, 4.0), 100 * DDP_BUCKET_BYTES
    assert exposed_s(sent, Range(10, 10, 10), gradients) == Range(0.0, pytest.approx(0.02), 4.0)  # the last bucket only
    assert exposed_s(sent, Range(0.5, 0.5, 0.5), gradients) == Range(0.5, 1.5, 4.0)
    assert exposed_s(sent, Range(0, 0, 0), gradients).mid == 2.0


def test_one_bucket_is_not_hidden_at_all():
    exposed = exposed_s(Range(1.0, 2.0, 4.0), Range(9, 9, 9), DDP_BUCKET_BYTES / 2)
    assert exposed.mid == 2.0 and math.isfinite(exposed.high)
