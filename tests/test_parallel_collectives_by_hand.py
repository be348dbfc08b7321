"""Collectives and messages in literal figures: shares of links, hops and terms as their sources give them."""

import math

import numpy as np
import pytest
from hand_made import device

from estimator.parallel.collectives import all_gather, all_reduce, all_to_all, message
from estimator.parallel.costs import Setting
from estimator.parallel.lateness import late_share
from estimator.parallel.measured_links import MeasuredLine, MeasuredLinks
from estimator.parallel.network import Group, Network
from estimator.parallel.stack import TORCH, XLA

GB = 1e9
LINKS = [
    # What collectives reach of a link (fast, typical, slow), and microseconds of a hop in NCCL's cost model.
    ("switch", (0.90, 0.80, 0.65), 3.4),
    ("mesh", (0.90, 0.75, 0.60), 3.4),
    ("pcie", (0.85, 0.55, 0.20), 5.7),
    ("host", (0.45, 0.22, 0.08), 5.7),
    ("torus2d", (0.95, 0.85, 0.70), 1.0),
    ("torus3d", (0.95, 0.85, 0.70), 1.0),
]


@pytest.mark.parametrize(("shape", "reached", "hop_us"), LINKS)
def test_eight_devices_of_100_gb_per_s(shape, reached, hop_us):
    """A ring of eight: 7 hops and 7/8 of the payload for a gather, twice that for an all-reduce."""
    group = Group(8, 8, 100 * GB, math.inf, shape)
    byte_s = [7 / 8 / (100 * GB * share) for share in reached]
    assert all_gather(group).s_per_byte == pytest.approx(byte_s)
    assert all_gather(group).latency_s == pytest.approx([8.4e-6 + 7 * hop_us * 1e-6] * 3)
    ring, tree = all_reduce(group)
    assert ring.s_per_byte == pytest.approx([2 * each for each in byte_s])
    assert ring.latency_s == pytest.approx([8.4e-6 + 14 * hop_us * 1e-6] * 3)
    # A tree moves the whole payload twice, not 7/8 of it.
    assert tree.s_per_byte == pytest.approx([2 / (100 * GB * share) for share in reached])
    assert message(group).s_per_byte == pytest.approx([1 / (100 * GB * share) for share in reached])
    assert message(group).latency_s == pytest.approx([hop_us * 1e-6] * 3)
    assert all_to_all(group).s_per_byte == pytest.approx(byte_s)
    assert all_to_all(group).latency_s == pytest.approx([(8.4 + hop_us) * 1e-6] * 3)


def test_four_machines_of_one_device_each():
    """Cards of 50 GB/s of which 0.95, 0.85 and 0.6 are reached, 14 us a hop, four hops once around."""
    group = Group(4, 1, math.inf, 50 * GB)
    reached = (0.95, 0.85, 0.60)
    assert all_gather(group).s_per_byte == pytest.approx([3 / 4 / (50 * GB * share) for share in reached])
    assert all_gather(group).latency_s == pytest.approx([(8.4 + 4 * 14) * 1e-6] * 3)
    assert all_to_all(group).latency_s == pytest.approx([(8.4 + 14) * 1e-6] * 3)
    assert message(group).latency_s == pytest.approx([14e-6] * 3)


def test_a_ring_through_two_machines_of_four():
    """Two of the eight hops leave a machine; each machine's four cards carry a quarter of a half of the payload."""
    group = Group(8, 4, 400 * GB, 10 * GB)
    assert all_gather(group).latency_s == pytest.approx([(8.4 + 2 * 14 + 6 * 3.4) * 1e-6] * 3)
    assert all_gather(group).s_per_byte[1] == pytest.approx(1 / 2 / 4 / (10 * GB * 0.85))


def test_two_devices_are_a_group_already():
    pair = Group(2, 2, 100 * GB, math.inf)
    assert message(pair).s_per_byte[1] == pytest.approx(1 / (80 * GB))
    assert all_to_all(pair).s_per_byte[1] == pytest.approx(1 / 2 / (80 * GB))
    assert all_to_all(pair).latency_s[1] == pytest.approx((8.4 + 3.4) * 1e-6)
    apart = Group(2, 1, math.inf, 10 * GB)
    assert all_to_all(apart).latency_s[1] == pytest.approx((8.4 + 14) * 1e-6)
    assert message(apart).s_per_byte[1] == pytest.approx(1 / (8.5 * GB))
    assert message(apart).latency_s[1] == pytest.approx(14e-6)


def test_all_to_all_inside_a_machine_where_the_network_is_faster():
    """Each of eight sends 3/8 of its payload inside, 4/8 outside."""
    slow_inside = Group(8, 4, 8 * GB, 1000 * GB, "host")
    assert all_to_all(slow_inside).s_per_byte[1] == pytest.approx(3 / 8 / (8 * GB * 0.22))


def test_the_link_between_sockets_is_what_nccl_says_of_it():
    """Cards of 64 GB/s reach 54.4, 35.2 and 12.8 of it; sockets pass 40, 16 and 10, shared by two groups half of it."""
    assert 1 / message(Group(8, 8, 64 * GB, math.inf, "pcie", sockets=1)).s_per_byte == pytest.approx(
        [40 * GB, 16 * GB, 10 * GB]
    )
    assert 1 / message(Group(4, 4, 64 * GB, math.inf, "pcie", sockets=2)).s_per_byte == pytest.approx(
        [20 * GB, 8 * GB, 5 * GB]
    )


def test_measured_collectives_by_hand():
    """Over 3 processes: 20 us (2 hops) and 1 ns a bus byte, 10 % off; 30 us and 3/4 of the bytes a pass over 4."""
    links = MeasuredLinks(3, MeasuredLine(20e-6, 1e-9, 0.1), MeasuredLine(40e-6, 2e-9, 0.7))
    group = Group(4, 4, 100 * GB, math.inf, measured=links)
    ring, tree = all_reduce(group)
    assert ring.latency_s == pytest.approx([27e-6, 30e-6, 33e-6])
    assert ring.s_per_byte == pytest.approx([1.35e-9, 1.5e-9, 1.65e-9])
    assert tree is ring
    # An error of 70 % makes it half as long at most, and 1.7 times as long.
    assert all_gather(group).latency_s == pytest.approx([30e-6, 60e-6, 102e-6])
    assert all_gather(group).s_per_byte == pytest.approx([0.75e-9, 1.5e-9, 2.55e-9])


@pytest.mark.parametrize(
    ("devices", "kind", "shape", "stack", "late"),
    [
        # Two hosts of eight: s sqrt(2 ln 2) with s of 0, 0.7 and 1.4 %.
        (16, "gpu", "switch", XLA, np.array([0.0, 0.007, 0.014]) * np.sqrt(2 * np.log(2))),
        # Processes of one host, operation by operation: 0, 3.5 and 5 % times sqrt(2 ln 4).
        (4, "gpu", "switch", TORCH, np.array([0.0, 0.035, 0.05]) * np.sqrt(2 * np.log(4))),
        # Both.
        (64, "gpu", "switch", TORCH, np.array([0.0, 0.042, 0.064]) * np.sqrt(2 * np.log(8))),
        (4, "cpu", "switch", TORCH, np.zeros(3)),
        # Eight slices of a TPU on sixteen hosts: three doublings of 0, 2.5 and 4 %.
        (
            128,
            "tpu",
            "torus2d",
            XLA,
            np.array([0.0, 0.007, 0.014]) * np.sqrt(2 * np.log(16)) + np.array([0, 0.075, 0.12]),
        ),
        (1, "gpu", "switch", TORCH, np.zeros(3)),
    ],
)
def test_how_late_the_slowest_is(devices, kind, shape, stack, late):
    network = Network("box", 16, 100 * GB, 50 * GB, shape, 8)
    assert late_share(devices, Setting(device(kind=kind), network, stack)) == pytest.approx(late)
