"""Matrix units, tiles and slices of TPUs."""

import math
from dataclasses import replace

import numpy as np
import pytest

import hardware_db
from estimator.parallel.costs import Setting
from estimator.parallel.lateness import SLICE, late_share
from estimator.parallel.network import network_of, usual_system
from estimator.parallel.stack import XLA
from estimator.timing import TimeSettings, predict
from estimator.timing.machine import MEGACORE
from estimator.timing.products import TILE_SIDE
from estimator.timing.work import work_of
from profiles.library import Question, find

DATABASE = hardware_db.load()
V5E, V6E = (DATABASE.device(name).logical_device() for name in ("tpu-v5e", "tpu-v6e"))


def llama():
    return find(Question("llama-3.1-8b", "train", "amp_bfloat16", "adamw", "cuda"), 1, 4096)


def seconds(device, table):
    return predict(table, device, TimeSettings("graph")).device_s[1]


def test_heads_of_128_fill_half_of_a_matrix_unit_of_256():
    """Both chips have one law: per FLOP at the peak, attention takes the newer one twice as long (beside its bytes)."""
    table = llama().table()
    attention = table.family.mask("attention")
    assert (work_of(table).kernels.depth == 128).all()
    spent = [(seconds(device, table) * device.peak_flops_per_s("bfloat16"))[attention].sum() for device in (V5E, V6E)]
    assert spent[1] / spent[0] == pytest.approx(2, rel=0.1)
    wide = replace(table, dims=table.dims | {"k": np.where(attention, 256, table.dims["k"])})
    assert seconds(V6E, wide)[attention].sum() == pytest.approx(seconds(V6E, table)[attention].sum() / 2, rel=0.1)


def test_operands_are_read_once_for_every_tile_that_fits_on_the_chip():
    """A square product of eight tiles a side reads each operand eight times."""
    table = llama().table()
    row = int(np.argmax(table.flops * table.family.mask("matmul")))
    n, large = TILE_SIDE, 8 * TILE_SIDE
    times = []
    for side in (n, large):
        sizes = {name: np.where(np.arange(len(table)) == row, side, table.dims[name]) for name in ("m", "n", "k")}
        moved = np.where(np.arange(len(table)) == row, 2 * side**2, 0).astype(np.int64)
        one = replace(table, dims=table.dims | sizes, bytes_read=2 * moved, bytes_written=moved)
        times.append(seconds(V6E, one)[row] / one.count[row])
    # 512 times the FLOPs; reading whole operands once would have made each FLOP cheaper
    assert times[1] / times[0] == pytest.approx(8**3, rel=0.2)


def test_two_cores_that_are_one_device_lose_some_of_their_rate():
    v4, table = DATABASE.device("tpu-v4").logical_device(), llama().table()
    matmul = table.family.mask("matmul")
    both, one = (seconds(device, table)[matmul].sum() for device in (v4, replace(v4, compute_units=1)))
    assert one / both == pytest.approx(MEGACORE, rel=0.03)


def test_slices_wait_for_each_other():
    network = network_of(V5E, usual_system(DATABASE, V5E))
    setting = Setting(V5E, network, XLA)
    one, two, eight = (late_share(network.joined * slices, setting)[1] for slices in (1, 2, 8))
    hosts = [0.007 * math.sqrt(2 * math.log(network.joined * s / network.nodes_of)) for s in (1, 2, 8)]
    assert [one, two, eight] == pytest.approx([hosts[0], hosts[1] + SLICE[1], hosts[2] + 3 * SLICE[1]])
