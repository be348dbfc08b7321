"""Seconds of products, kernels and traffic on an invented device, in figures small enough to work out by hand."""

from dataclasses import replace
from datetime import date
from math import hypot, inf

import numpy as np
import pytest
from hand_made import device

from estimator.timing.machine import Machine, engine_share, large_product, operand_size, release_year
from estimator.timing.products import _padded, kernel_seconds, product_seconds
from estimator.timing.settings import EXECUTIONS
from estimator.timing.traffic import fault_seconds, traffic_seconds
from estimator.timing.traffic_classes import TRAFFIC_CLASSES
from estimator.timing.work import DATA, FORWARD, MATMUL, WEIGHT, Kernels, Products, Work

P = {
    "matrix_share": 1.0, "vector_share": 1.0, "throttle_exponent": 0.0, "matrix_energy_pj": 1.0,
    "vector_energy_pj": 1.0, "matrix_energy_halving_years": 3.0, "vector_energy_halving_years": 3.0,
    "power_sharpness": 2.0, "matrix_reach": 32.0, "vector_reach": 16.0, "reach_exponent": 0.5,
    "product_bandwidth": 0.5, "product_prologue": 10.0, "overlap_order": 2.0,
    "convolution_forward": 0.5, "convolution_data": 0.25, "convolution_weight": 0.2, "winograd": 2.0,
    "grouped_forward": 0.1, "grouped_backward": 0.05, "grouped_forward_channels_last": 0.3,
    "grouped_backward_channels_last": 0.15, "layout_passes": 3.0, "compiled_layout_passes": 2.0,
    "depthwise_bandwidth": 0.5, "depthwise_backward_bandwidth": 0.25, "depthwise_share": 0.4,
    "depthwise_backward_share": 0.2, "depthwise_general_kernel": 0.5, "depthwise_channels_last": 0.8,
    "attention_forward": 0.5, "attention_backward": 0.25, "other_kernels": 0.1,
    "l2_gain": 4.0, "l2_share": 0.5, "half_traffic": 0.9, "batch_norm_channels_last": 0.6, "fault_bytes_per_s": 1e6,
    **{f"{name}_bandwidth": 0.5 + place / 100 for place, name in enumerate(TRAFFIC_CLASSES)},
    "copy_bandwidth": 0.8,
    **{f"{style}_{kind}_traffic": share for style in EXECUTIONS
       for kind, share in (("row", 0.5), ("elementwise", 0.25))},
}  # fmt: skip
PLAIN = {
    "peak": 1e12, "matrix": True, "rate_factor": 1.0, "vector_peak": 1e11, "bandwidth": 1e30, "units": 1.0,
    "power_w": inf, "year": 2018.0, "hosted": True, "array_side": 1.0, "channels_last": False, "winograd": False,
    "style": EXECUTIONS.index("eager"), "l2_bytes": 1.0, "ridge": 4.0, "operand": 1.0, "engine": 1.0,
}  # fmt: skip
"""Half of the rate of a matrix engine is reached at 32 x 4 ** 0.5 = 64 multiply-adds per element."""


def machine(**changes):
    return Machine(**{name: np.asarray(value) for name, value in (PLAIN | changes).items()})


def products(m, n, k, batch=1, role=MATMUL, kernel=0, stride=1, moved=0):
    floats = [np.array([float(each)]) for each in (m, n, k, batch, kernel, stride, moved)]
    return Products(np.array([0]), np.array([role]), *floats)


def took(*sizes, p=P, on=None, **fields):
    seconds, memory = product_seconds(products(*sizes, **fields), on or machine(), p)
    return seconds[0], memory[0]


@pytest.mark.parametrize(
    ("m", "n", "share"),
    [(256, 128, 8 / 7), (128, 128, 1), (128, 64, 4 / 5), (64, 128, 4 / 5), (64, 64, 2 / 3), (32, 64, 1 / 2),
     (64, 32, 1 / 2), (32, 32, 2 / 5)],
)  # fmt: skip
def test_the_best_tile_is_the_one_of_the_products_size(m, n, share):
    """Of reach r = m n / (m + n): r / (r + 64) of twice the rate; ten multiply-adds before the first of the depth."""
    assert took(m, n, 1000)[0] == pytest.approx(2 * m * n * 1010 / (1e12 * share))
    assert took(m, n, 1000, batch=4, on=machine(units=2.0))[0] == pytest.approx(4 * 2 * m * n * 1010 / (1e12 * share))


def test_a_tile_takes_one_unit_though_others_are_idle():
    assert took(32, 32, 100, on=machine(units=2.0))[0] == pytest.approx(2 * 2048 * 110 / (1e12 * 0.4))


def test_tiles_at_the_edges_are_whole():
    assert took(33, 32, 1000)[0] == took(64, 32, 1000)[0] and took(32, 33, 1000)[0] == took(32, 64, 1000)[0]


def test_a_device_without_a_matrix_engine_needs_less_reuse():
    """Half of the rate at 16: 16 / 32 of 1 + 16 / 64 with tiles of 32 x 32."""
    assert took(32, 32, 1000, on=machine(matrix=False))[0] == pytest.approx(2048 * 1010 / (1e12 * 0.625))


def test_reuse_is_needed_with_the_root_of_the_ridge():
    """Nine FLOPs a byte: half of the rate at 32 x 3 = 96 multiply-adds per element."""
    share = 16 / (16 + 96) * (1 + 96 / 64)
    assert took(32, 32, 1000, on=machine(ridge=9.0))[0] == pytest.approx(2048 * 1010 / (1e12 * share))


def test_a_product_that_waits_for_memory_takes_its_bytes():
    assert took(32, 32, 64, moved=4, on=machine(bandwidth=2.0))[0] == pytest.approx(4.0)


def test_products_and_convolutions_of_all_kinds_stand_side_by_side():
    on = machine(bandwidth=1e9)
    each = [
        products(32, 32, 1000, moved=700), products(32, 32, 64, role=FORWARD, kernel=1, moved=4000),
        products(100, 1, 9, batch=2, role=FORWARD, kernel=9, moved=1000),
    ]  # fmt: skip
    mixed = Products(*(np.concatenate([getattr(one, name) for one in each]) for name in Products.__dataclass_fields__))
    seconds, memory = product_seconds(mixed, on, P)
    alone = [product_seconds(one, on, P) for one in each]
    assert seconds == pytest.approx([one[0] for one, _ in alone])
    assert memory == pytest.approx([one[0] for _, one in alone])


@pytest.mark.parametrize("split", [1, 4, 16, 64])
def test_long_sums_of_one_tile_are_split_over_all_units(split):
    each = 2048 * (4096 / split + 10) / (1e12 / split * 0.4)
    assert took(32, 32, 4096, on=machine(units=float(split)))[0] == pytest.approx(each)


def test_sums_are_not_split_into_parts_shorter_than_64():
    on = machine(units=4.0)
    assert took(32, 32, 4 * 64, on=on)[0] == pytest.approx(2048 * (64 + 10) / 1e11)
    assert took(32, 32, 4 * 63, on=on)[0] == pytest.approx(2048 * (4 * 63 + 10) / 1e11)


def test_partial_sums_are_written_and_read():
    """Four parts of 2 x 1,024 sums in four bytes, there and back, beside 464 bytes of operands."""
    on = machine(units=8.0, bandwidth=132e9)
    seconds, memory = took(32, 32, 4 * 64, batch=2, moved=464, on=on)
    assert seconds == pytest.approx(hypot(2048 * 74 / 5e10, (464 + 2 * 4 * 4 * 2048) / 66e9))
    assert memory == pytest.approx(464 / 66e9)


def test_products_are_padded_to_a_systolic_unit():
    """Rows to 8, columns and depth to 128; each operand is read for every tile of sums of at most 2,048 x 2,048."""
    small = _padded(products(5, 100, 200, batch=3), machine(array_side=128.0, operand=2.0))
    assert (small.m, small.n, small.k) == (8, 128, 256)
    assert small.moved == pytest.approx(2 * 3 * 8 * 128 * (2 * 256 * (1 / 8 + 1 / 128) + 1))
    large = _padded(products(8192, 4096, 256), machine(array_side=128.0))
    assert large.moved == pytest.approx(2 * 8192 * 4096 * (256 * 2 / 2048 + 1))
    assert _padded(products(8, 128, 128, moved=1e9), machine(array_side=128.0)).moved == 1e9
    assert _padded(products(5, 100, 200), machine()).k == 200


def test_only_those_of_several_devices_that_have_a_systolic_unit_pad():
    two = Products(*(np.repeat(getattr(products(5, 100, 200), name), 2) for name in Products.__dataclass_fields__))
    found = _padded(two, machine(array_side=np.array([1.0, 2.0])))
    assert found.m.tolist() == [5, 8] and found.n.tolist() == [100, 100]
    assert found.moved.tolist() == pytest.approx([0, 2 * 8 * 100 * (200 * (1 / 8 + 1 / 100) + 1)])


LAST = {"channels_last": True}


@pytest.mark.parametrize(
    ("role", "batch", "on", "share"),
    [
        (FORWARD, 1, LAST, 0.5), (DATA, 1, LAST, 0.25), (WEIGHT, 1, LAST, 0.2),
        (FORWARD, 8, LAST, 0.5 * 0.3), (DATA, 8, LAST, 0.25 * 0.15),
        (FORWARD, 8, {"matrix": False}, 0.5 * 0.1), (DATA, 8, {"matrix": False}, 0.25 * 0.05),
        (FORWARD, 2, {"matrix": False}, 0.5 * 0.1),
    ],
)  # fmt: skip
def test_convolutions_reach_their_shares_of_the_rate_of_products(role, batch, on, share):
    """64 channels a group on both sides, a kernel of 4 elements."""
    m, n, k = {FORWARD: (64, 64, 256), DATA: (64, 64, 256), WEIGHT: (64, 64, 256)}[role]
    found = took(m, n, k, batch=batch, role=role, kernel=4, on=machine(**on))[0]
    reached = 2 / 3 if on == LAST else 2 / 3 * 1.25  # 32 / (32 + 64) x 2; 32 / (32 + 16) x (1 + 16 / 64)
    assert found == pytest.approx(batch * 8192 * 266 / (1e12 * reached * share))


@pytest.mark.parametrize(
    ("fields", "on", "gain"),
    [
        ({}, {}, 2), ({"kernel": 25}, {}, 1), ({"stride": 2}, {}, 1), ({"stride": 1.9}, {}, 2),
        ({"batch": 2}, {}, 0.1), ({}, {"matrix": True, "channels_last": True}, 1), ({}, {"winograd": False}, 1),
    ],
)  # fmt: skip
def test_winograd_serves_plain_3_x_3_convolutions_on_vector_units(fields, on, gain):
    fields = {"kernel": 9, "batch": 1} | fields
    one = machine(**({"matrix": False, "winograd": True} | on))
    channels = 16
    found = took(32, 32, fields["kernel"] * channels, role=FORWARD, on=one, **fields)[0]
    reached = 0.4 if one.matrix else 0.625
    depth = fields["kernel"] * channels + 10
    assert found == pytest.approx(fields["batch"] * 2048 * depth / (1e12 * reached * 0.5 * gain))
    fewer = took(32, 32, fields["kernel"] * 15, role=FORWARD, on=one, **fields)[0]
    assert fewer > found if gain == 2 else fewer <= found


@pytest.mark.parametrize(("k", "kernel", "depth"), [(45, 9, 72), (5, 1, 8), (9, 9, 72), (72, 9, 72)])
def test_matrix_engines_take_channels_in_eights(k, kernel, depth):
    found = took(32, 32, k, role=FORWARD, kernel=kernel, on=machine(channels_last=True))[0]
    assert found == pytest.approx(2048 * (depth + 10) / (1e12 * 0.4 * 0.5))


@pytest.mark.parametrize(("style", "passes"), [("eager", 3), ("inductor", 2)])
def test_images_of_a_matrix_engine_are_laid_out_anew(style, passes):
    """Their bytes three times over four fifths of the bandwidth, on the way in and out."""
    there = machine(bandwidth=1e9, style=EXECUTIONS.index(style))
    fields = {"role": FORWARD, "kernel": 1, "moved": 4000}
    plain = took(32, 32, 64, on=machine(bandwidth=1e9, channels_last=True), **fields)
    found = took(32, 32, 64, on=there, **fields)
    assert found[0] - plain[0] == pytest.approx(passes * 4000 / 0.8e9)
    assert found[1] == pytest.approx(4000 / 0.5e9 + passes * 4000 / 0.8e9)


@pytest.mark.parametrize(
    ("role", "kernel", "on", "bandwidth", "rate"),
    [
        (FORWARD, 9, {}, 0.5, 0.4), (FORWARD, 1, {}, 0.5, 0.4), (FORWARD, 25, {}, 0.5, 0.4),
        (FORWARD, 49, {}, 0.5, 0.4 * 0.5), (DATA, 9, {}, 0.25, 0.2), (WEIGHT, 9, {}, 0.25, 0.2),
        (FORWARD, 9, LAST, 0.5 * 0.8, 0.4 * 0.8),
    ],
)  # fmt: skip
def test_depthwise_convolutions_by_hand(role, kernel, on, bandwidth, rate):
    m, n, k = {FORWARD: (100, 1, kernel), DATA: (100, 1, kernel), WEIGHT: (1, kernel, 100)}[role]
    seconds, memory = took(m, n, k, batch=2, role=role, kernel=kernel, moved=1000, on=machine(bandwidth=1e9, **on))
    flops = 2 * m * n * k * 2
    assert seconds == memory == pytest.approx(1000 / (1e9 * bandwidth) + flops / (1e11 * rate))


@pytest.mark.parametrize(
    ("groups", "sides", "role", "on", "direct"),
    [
        (8, (4, 4), DATA, LAST, False), (9, (4, 4), DATA, LAST, True), (16, (4, 4), WEIGHT, LAST, False),
        (8, (4, 8), DATA, LAST, True), (9, (4, 4), DATA, {}, False), (9, (4, 4), FORWARD, LAST, False),
        (1, (4, 8), DATA, LAST, False), (2, (4, 4), DATA, LAST, True),
    ],
)  # fmt: skip
def test_gradients_of_groups_that_do_not_come_in_eights_run_on_vector_units(groups, sides, role, on, direct):
    """Twelve rows and a kernel of nine elements; arithmetic alone, on a device whose memory takes no time."""
    into, out = sides
    m, n, k = {DATA: (12, into, 9 * out), WEIGHT: (out, 9 * into, 12), FORWARD: (12, out, 9 * into)}[role]
    found = took(m, n, k, batch=groups, role=role, kernel=9, on=machine(vector_peak=9e10, **on))[0]
    arithmetic = 2 * m * n * k * groups / (9e10 * 0.2 * 0.8)
    assert (found == pytest.approx(arithmetic)) == direct


def kernels(**changes):
    fields = {"attention": True, "plain": False, "backward": False, "flops": 1e6, "blocks": 8.0, "depth": 64.0,
              "moved": 500.0}  # fmt: skip
    return Kernels(np.array([0]), *(np.array([value]) for value in (fields | changes).values()))


@pytest.mark.parametrize(
    ("fields", "on", "seconds"),
    [
        ({}, {}, 1e6 / (1e12 * 0.5)),
        ({"backward": True}, {}, 1e6 / (1e12 * 0.25)),
        # Sixteen units for eight blocks: half are idle.
        ({}, {"units": 16.0}, 2e6 / (1e12 * 0.5)),
        ({"attention": False, "depth": np.nan}, {}, 1e6 / (1e12 * 0.1)),
        ({"attention": False, "plain": True, "depth": np.nan}, {}, 1e6 / 1e12),
        # Heads of 96 on a unit of 64 fill two.
        ({"depth": 96.0}, {"array_side": 64.0}, 1e6 * 128 / 96 / (1e12 * 0.5)),
        ({"depth": 3.0}, {"array_side": 2.0}, 1e6 * 4 / 3 / (1e12 * 0.5)),
    ],
)
def test_kernels_by_hand(fields, on, seconds):
    found, memory = kernel_seconds(kernels(**fields), machine(bandwidth=1e9, **on), P)
    assert memory == pytest.approx([500 / 0.5e9]) and found == pytest.approx([seconds + 500 / 0.5e9])


def traffic(kind, size, half=False, fresh=0.0):
    fields = dict.fromkeys(Work.__dataclass_fields__) | {
        "n": 1, "traffic_row": np.array([0]), "traffic_class": np.array([TRAFFIC_CLASSES.index(kind)]),
        "traffic_bytes": np.array([float(size)]), "traffic_half": np.array([half]), "fresh": np.array([fresh]),
    }  # fmt: skip
    return Work(**fields)


@pytest.mark.parametrize("kind", TRAFFIC_CLASSES)
def test_traffic_takes_its_share_of_the_bandwidth(kind):
    """What rows need of each other half of what was is left by compilers, of single elements a quarter, else all."""
    share = P[f"{kind}_bandwidth"]
    found = traffic_seconds(traffic(kind, 1e6), machine(bandwidth=1e9), P)
    assert found == pytest.approx([1e-3 / share])
    rows = ("layer_norm", "batch_norm_training", "softmax", "reduction")
    left = 0.5 if kind in rows else 0.25 if kind in ("elementwise", "copy", "batch_norm", "pooling") else 1.0
    for style in range(1, len(EXECUTIONS)):
        compiled = traffic_seconds(traffic(kind, 1e6), machine(bandwidth=1e9, style=style), P)
        assert compiled == pytest.approx([1e-3 * left / share])


def test_halves_layouts_and_caches_by_hand():
    plain = traffic_seconds(traffic("elementwise", 1e6), machine(bandwidth=1e9), P)
    assert traffic_seconds(traffic("elementwise", 1e6, half=True), machine(bandwidth=1e9), P) * 0.9 == plain
    last = machine(bandwidth=1e9, channels_last=True)
    trained = traffic_seconds(traffic("batch_norm_training", 1e6), last, P)
    assert trained == pytest.approx(1e-3 / (P["batch_norm_training_bandwidth"] * 0.6))
    assert traffic_seconds(traffic("elementwise", 1e6), last, P) == plain
    # A third of a cache of 6 MB is half of the half that serves: 1 / (1 + 1 / 4) of four times the speed more.
    cached = traffic_seconds(traffic("elementwise", 1.5e6), machine(bandwidth=1e9, l2_bytes=6e6), P)
    assert cached == pytest.approx(1.5e-3 / (P["elementwise_bandwidth"] * (1 + 4 / 1.25)))
    faults = fault_seconds(traffic("copy", 1.0, fresh=8e6), machine(units=4.0), P)
    assert faults == pytest.approx([2.0])


def test_what_a_machine_reads_off_a_device():
    card = device(compute_units=100, boost_clock_hz=1e9, l2_cache_bytes=5, release_date=date(2020, 1, 31))
    found = large_product(card, np.array(102.4e12), np.array(True), np.array(1.0))
    assert (found.bandwidth, found.units, found.power_w, found.l2_bytes) == (2e12, 100, 400, 5)
    assert found.year == pytest.approx(2020 + 30 / 365.25) and found.rate_factor == found.array_side == 1
    assert found.engine == 1.0 and found.ridge == pytest.approx(51.2 / 139)
    assert found.hosted and found.winograd and not found.channels_last and found.vector_peak == inf
    bare = replace(card, compute_units=None, l2_cache_bytes=None, release_date=None, vendor="Apple", kind="cpu")
    plain = large_product(bare, np.array(1e12), np.array(False), np.array(1.0))
    assert (plain.units, plain.l2_bytes, plain.power_w, plain.year) == (1, 1, inf, 2018)
    assert not plain.hosted and not plain.winograd
    assert (
        large_product(replace(card, l2_cache_bytes=None), np.array(1e12), np.array(True), np.array(1.0)).l2_bytes == 1
    )
    assert large_product(card, np.array(25.6e12), np.array(True), np.array(2.0)).engine == 0.5
    assert large_product(replace(card, kind="cpu"), np.array(1e12), np.array(False), np.array(1.0)).l2_bytes == 1


@pytest.mark.parametrize(
    ("architecture", "cores", "side", "factor"),
    [("TPU v4", 2, 128, 0.89), ("TPU v5e", 1, 128, 1), ("TPU v5e", None, 128, 1), ("TPU v6e", 1, 256, 1),
     ("TPU v7", 2, 256, 0.89)],
)  # fmt: skip
def test_matrix_units_of_tpus(architecture, cores, side, factor):
    chip = device(kind="tpu", architecture=architecture, compute_units=cores)
    found = large_product(chip, np.array(1e14), np.array(True), np.array(1.0))
    assert (found.array_side, found.rate_factor) == (side, factor)


def test_throttled_engines_by_hand():
    """100 multiprocessors at 1 GHz could do 102.4 TFLOP/s in 16 bits."""
    card = device(compute_units=100, boost_clock_hz=1e9)
    peaks = np.array([25.6e12, 51.2e12, 409.6e12, np.nan])
    assert engine_share(card, peaks).tolist() == [0.25, 0.5, 1, 1]
    for changes in ({"vendor": "AMD"}, {"compute_units": None}, {"boost_clock_hz": None}):
        assert engine_share(replace(card, **changes), peaks).tolist() == [1] * 4


@pytest.mark.parametrize(
    ("precision", "size"),
    [("float64", 4), ("float32", 2), ("tf32", 2), ("bfloat16", 1), ("float8", 0.5), ("int8", 0.5), ("int4", 0.25)],
)
def test_operands_beside_those_of_16_bits(precision, size):
    assert operand_size(device(matrix_peaks={precision: 1e12}), precision) == size
    assert operand_size(device(matrix_peaks={}), precision) == 1.0


def test_the_year_of_release():
    assert release_year(device(release_date=date(2022, 1, 1))) == 2022
    assert release_year(device(release_date=date(2021, 12, 31))) == pytest.approx(2021 + 364 / 365.25)
