"""Collectives against the formulas they are named after, and groups on real networks."""

import math
from dataclasses import replace

import pytest

import hardware_db
from estimator.parallel.collectives import (
    HOP_S,
    NETWORK_HOP_S,
    NETWORK_REACHED,
    REACHED,
    SOCKETS_BYTES_PER_S,
    START_S,
    all_gather,
    all_reduce,
    all_reduce_s,
    all_to_all,
    message,
)
from estimator.parallel.network import Group, Network, network_of, usual_system
from estimator.parallel.parallelism import Parallelism
from estimator.parallel.ranks import Ranks
from hardware_db.errors import UsageError

BOX = Network("box", 8, 400e9, 50e9, "switch", 8)
MID = 1


def test_ring_all_reduce_inside_a_machine():
    seconds = all_reduce_s(1e9, BOX.group(8, 1))[MID]
    wire = 2 * 7 / 8 * 1e9 / (400e9 * REACHED["switch"][MID])
    assert seconds == pytest.approx(START_S + wire + 2 * 7 * HOP_S["switch"])


def test_gather_takes_half_of_an_all_reduce_and_one_device_nothing():
    group = BOX.group(8, 1)
    ring, _ = all_reduce(group)
    assert 2 * all_gather(group).s_per_byte == pytest.approx(ring.s_per_byte)
    assert all_reduce_s(1e9, BOX.group(1, 1)).tolist() == [0, 0, 0]
    assert all_gather(BOX.group(1, 1)).at(1e9).tolist() == [0, 0, 0]


def test_the_slower_level_of_a_hierarchy_decides():
    """16 devices in 2 machines: 8 network cards carry an eighth each, 400 GB/s together, as much as the inner link."""
    group = BOX.group(16, 1)
    assert (group.inside, group.machines) == (8, 2)
    inner = 7 / 8 / (400e9 * REACHED["switch"][MID])
    outer = 1 / 2 / 8 / (50e9 * NETWORK_REACHED[MID])
    assert all_gather(group).s_per_byte[MID] == pytest.approx(max(inner, outer))


def test_one_device_a_machine_has_its_own_card_only():
    group = BOX.group(4, 8)
    assert (group.inside, group.machines, group.bytes_per_s) == (1, 4, 50e9)
    assert all_gather(group).s_per_byte[MID] == pytest.approx(3 / 4 / (50e9 * NETWORK_REACHED[MID]))


def test_trees_win_where_many_machines_send_little():
    group = BOX.group(1024, 1)
    ring, tree = all_reduce(group)
    assert tree.at(1e4)[MID] < ring.at(1e4)[MID]
    assert tree.latency_s[MID] == pytest.approx(START_S + 2 * (math.log2(128) * NETWORK_HOP_S + 7 * HOP_S["switch"]))
    assert all_reduce_s(1e4, group)[MID] == tree.at(1e4)[MID]


def test_all_to_all_sends_equal_parts_inside_and_outside():
    group = BOX.group(32, 1)
    outside = 24 / 32 / (50e9 * NETWORK_REACHED[MID])
    assert all_to_all(group).s_per_byte[MID] == pytest.approx(outside)
    assert message(group).s_per_byte[MID] == pytest.approx(1 / (50e9 * NETWORK_REACHED[MID]))


@pytest.mark.parametrize(("chips", "share"), [(4, 0.5), (64, 0.5), (256, 1.0)])
def test_a_torus_gives_all_links_only_where_its_axes_close(chips, share):
    """v5e: 200 GB/s of four links; slices below 16 x 16 have no wraparound (Google Cloud, TPU v5e)."""
    database = hardware_db.load()
    device = database.device("tpu-v5e")
    network = network_of(device, usual_system(database, device), chips)
    assert network.group(chips, 1).inner_bytes_per_s == pytest.approx(200e9 * share)


def test_a_group_along_one_axis_of_a_torus_has_the_links_of_that_axis():
    network = Network("pod", 256, 200e9, 3e9, "torus2d", 8)
    assert network.group(16, 1).inner_bytes_per_s == pytest.approx(100e9)
    assert network.group(512, 1).machines == 2


def test_cores_of_one_chip_share_its_links():
    """A ring through all cores leaves each chip once; groups of one core a chip pass its links side by side."""
    cores = Network("cores", 8, 200e9, 10e9, "switch", 8, parts=2)
    assert cores.group(8, 1).inner_bytes_per_s == pytest.approx(200e9)
    assert cores.group(4, 2).inner_bytes_per_s == pytest.approx(100e9)
    assert cores.group(2, 1).inner_bytes_per_s == pytest.approx(200e9)
    assert cores.group(16, 1).bytes_per_s == pytest.approx(8 * 10e9 / 2)


def test_a_ring_over_both_sockets_has_what_passes_between_them():
    cards = Network("cards", 8, 64e9, 10e9, "pcie", 8)
    near, far, beside = cards.group(4, 1), cards.group(8, 1), cards.group(4, 2)
    assert message(near).s_per_byte[MID] == pytest.approx(1 / (64e9 * REACHED["pcie"][MID]))
    assert message(far).s_per_byte[MID] == pytest.approx(1 / SOCKETS_BYTES_PER_S[MID])
    assert message(beside).s_per_byte[MID] == pytest.approx(2 / SOCKETS_BYTES_PER_S[MID])
    assert Network("few", 4, 64e9, 10e9, "pcie", 4).group(4, 1).sockets == 0


def test_a_bridge_joins_pairs_and_the_rest_of_the_host_goes_over_pcie():
    database = hardware_db.load()
    card = database.device("a100-pcie-80gb")
    system = replace(
        database.systems[0], device=card.id, devices_per_host=4, scale_up_devices=2, topology="bridge",
        scale_up_bytes_per_s=300e9, scale_out_bytes_per_s=10e9,
    )  # fmt: skip
    network = network_of(card, system)
    assert network.joined == 4 and network.group(2, 1).inner_bytes_per_s == pytest.approx(300e9)
    assert network.group(2, 1).shape == "switch" and network.group(4, 1).shape == "pcie"
    assert network.group(2, 2).inner_bytes_per_s == network.group(4, 1).inner_bytes_per_s == pytest.approx(31.5e9, 0.01)


def test_neighbours_are_tensor_parallel():
    ranks = Ranks(Parallelism(data_parallel=4, tensor_parallel=4, pipeline_parallel=2, context_parallel=2), BOX)
    assert (ranks.tensor.inside, ranks.tensor.machines) == (4, 1)
    assert (ranks.context.size, ranks.context.machines) == (2, 1)
    assert (ranks.shards.size, ranks.shards.inside) == (8, 2)
    assert (ranks.stages.size, ranks.stages.inside) == (2, 1)


def test_a_rack_joins_more_than_a_machine():
    database = hardware_db.load()
    device = database.device("gb200")
    network = network_of(device, usual_system(database, device), 72)
    assert network.group(64, 1).machines == 1
    assert network.group(8, 8).machines == 1


def test_links_that_nobody_publishes_are_not_guessed():
    alone = Network("lonely", 4, None, None, "pcie", 4)
    with pytest.raises(UsageError, match="no bandwidth between the devices of lonely"):
        alone.group(4, 1)
    with pytest.raises(UsageError, match="no network between machines of lonely"):
        Network("lonely", 4, 1e9, None, "pcie", 4).group(8, 1)


def test_every_collective_costs_more_on_a_slower_end():
    for group in (BOX.group(8, 1), BOX.group(64, 1), Group(16, 16, 100e9, math.inf, "torus2d")):
        for seconds in (all_reduce_s(1e8, group), all_gather(group).at(1e8), all_to_all(group).at(1e8)):
            assert seconds[0] <= seconds[1] <= seconds[2]
