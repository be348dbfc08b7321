"""Time of operations: what physics demands of the formulas, whatever their parameters."""

import dataclasses

import numpy as np
import pytest
from hand_made import device, operation, profile

from estimator.timing import BOUNDS, Correction, TimeSettings, correction_of, predict, side_by_side
from estimator.timing.corrections import spread_of
from estimator.timing.machine import multiplied_in
from estimator.timing.parameters import factor_table, parameter_table, parameters_of
from estimator.timing.traffic_classes import TRAFFIC_CLASSES, traffic_class
from estimator.timing.work import work_of
from hardware_db import load
from hardware_db.errors import UnknownPrecision, UsageError
from profiles.records import FAMILIES
from profiles.trace_record import RawTrace, fold

BIG = 4096


def product(m, n, k, *, batch=1, family="matmul", name="aten.mm", precision="bfloat16", phase="forward", **more):
    element = 4 if precision in ("float32", "tf32") else 2
    flops = 2 * m * n * k * batch * more.get("products", 1)
    one = operation(name, family, "matrix", phase, flops, batch * (m * k + k * n) * element, batch * m * n * element,
                    count=1, precision=precision)  # fmt: skip
    dims = {"m": m, "n": n, "k": k, "batch": batch, **more}
    return dataclasses.replace(one, dims=tuple(dims.items()))


def traffic(name, family, size, phase="forward"):
    return operation(name, family, "vector", phase, size, size, size, count=1, precision="float32")


def table_of(*operations):
    return fold(RawTrace(list(operations), [], 8, None)).table


def seconds(*operations, on="a100-sxm-80gb", **settings):
    known = load().device(on) if isinstance(on, str) else on
    return predict(table_of(*operations), known, TimeSettings(**settings)).device_s[1].tolist()


def test_no_product_is_faster_than_the_datasheet_allows():
    for m in (1, 17, 128, 1000, 8192):
        found = table_of(product(m, 4096, 4096))
        for name in ("a100-sxm-80gb", "h100-sxm", "v100-sxm2-16gb"):
            chip = load().device(name)
            if not chip.supports("bfloat16"):
                continue
            took = predict(found, chip, TimeSettings(), Correction()).device_s[1, 0]
            assert took > 2 * m * 4096**2 / chip.peak_flops_per_s("bfloat16")
            assert took > (m * 4096 + 4096**2) * 2 / chip.memory_bandwidth_bytes_per_s


def test_a_larger_product_takes_longer_and_uses_the_device_better():
    sizes = [256, 512, 1024, 2048, 4096, 8192]
    took = [seconds(product(s, s, s))[0] for s in sizes]
    assert took == sorted(took)
    rates = [2 * s**3 / t for s, t in zip(sizes, took, strict=True)]
    assert rates == sorted(rates)
    assert rates[-1] > 0.4 * load().device("a100-sxm-80gb").peak_flops_per_s("bfloat16")


def test_ragged_sizes_waste_tiles():
    even, ragged = seconds(product(BIG, BIG, BIG))[0], seconds(product(BIG + 1, BIG + 1, BIG))[0]
    assert even < ragged < 1.2 * even


def test_a_matrix_unit_multiplies_what_its_rows_and_columns_are_padded_to():
    for name, side in (("tpu-v5e", 128), ("tpu-v6e", 256)):
        even, odd, padded = (seconds(product(BIG, BIG + n, BIG), on=name)[0] for n in (0, 1, side))
        assert odd == pytest.approx(padded, rel=0.02)
        assert odd > even * (1 + 0.5 * side / BIG)


def test_a_long_thin_product_is_split():
    flat, thin = product(BIG, BIG, 64), product(64, 64, BIG * BIG // 64)
    assert seconds(thin)[0] < 40 * seconds(flat)[0]


def test_a_small_card_cannot_hold_its_peak():
    chip = load().device("t4")
    strong = dataclasses.replace(chip, tdp_w=300.0)
    weak, free = (seconds(product(BIG, BIG, BIG, precision="float16"), on=each)[0] for each in (chip, strong))
    assert weak > 1.3 * free


def test_a_convolution_is_two_products_backward():
    sizes = {"family": "convolution", "kernel": 9, "positions": 32 * 56 * 56}
    forward = product(32 * 56 * 56, 256, 9 * 256, name="aten.convolution", **sizes)
    backward = product(
        32 * 56 * 56, 256, 9 * 256, name="aten.convolution_backward", phase="backward", products=2, **sizes
    )
    first, second = seconds(forward, backward, memory_format="channels_last")
    assert 1.5 * first < second < 4 * first


def test_contiguous_images_cost_a_matrix_engine_a_conversion():
    convolution = product(
        32 * 56 * 56, 64, 64, family="convolution", name="aten.convolution", kernel=1, positions=32 * 56 * 56
    )
    contiguous, last = (seconds(convolution, memory_format=layout)[0] for layout in ("contiguous", "channels_last"))
    assert contiguous > last


def test_depthwise_convolutions_are_bound_by_memory():
    positions, channels = 32 * 56 * 56, 256
    depthwise = product(positions, 1, 9, batch=channels, family="convolution", name="aten.convolution", kernel=9,
                        positions=positions)  # fmt: skip
    chip = load().device("a100-sxm-80gb")
    took = seconds(depthwise)[0]
    assert took > depthwise.bytes_moved / chip.memory_bandwidth_bytes_per_s
    assert took > 5 * depthwise.flops / chip.peak_flops_per_s("bfloat16")


def gradients(groups, wide_in, wide_out, precision="bfloat16"):
    """Both gradients of a 3 x 3 convolution of 32 images of 56 x 56."""
    positions = 32 * 56 * 56
    sizes = {"family": "convolution", "kernel": 9, "positions": positions, "products": 2}
    name = "aten.convolution_backward"
    return product(positions, wide_out, 9 * wide_in, batch=groups, name=name, phase="backward", precision=precision,
                   **sizes)  # fmt: skip


@pytest.mark.parametrize(("groups", "wide_in", "wide_out"), [(30, 4, 4), (4, 32, 32), (32, 4, 8)])
def test_in_channels_last_matrix_engines_have_gradients_of_packed_groups_alone(groups, wide_in, wide_out):
    """Others take what their arithmetic takes on vector units, which contiguous images do not."""
    p, chip = parameters_of("gpu"), load().device("a100-sxm-80gb")
    slow, packed = gradients(groups, wide_in, wide_out), gradients(32, 4, 4)
    per_flop = {
        layout: seconds(slow, memory_format=layout)[0] / slow.flops for layout in ("contiguous", "channels_last")
    }
    assert per_flop["channels_last"] > per_flop["contiguous"]
    vector = chip.vector_peaks["float32"] * p["depthwise_backward_share"] * p["depthwise_channels_last"]
    assert per_flop["channels_last"] * vector > 1.0
    assert seconds(packed, memory_format="channels_last")[0] < packed.flops / vector


def test_float32_convolutions_use_tf32_and_products_do_not():
    chip = load().device("a100-sxm-80gb")
    assert multiplied_in(chip, "float32", convolution=True) == "tf32"
    assert multiplied_in(chip, "float32", convolution=False) == "float32"
    assert multiplied_in(load().device("v100-sxm2-16gb"), "tf32", convolution=True) == "float32"


def test_traffic_takes_bytes_over_bandwidth():
    big = 2 * 10**9
    took = seconds(traffic("aten.add", "elementwise", big))[0]
    ideal = 2 * big / load().device("a100-sxm-80gb").memory_bandwidth_bytes_per_s
    assert ideal < took < 1.6 * ideal


def test_what_the_shared_cache_holds_passes_faster():
    chip = load().device("rtx-4090")
    small, large = (traffic("aten.add", "elementwise", size) for size in (2**22, 2**28))
    rates = [each.bytes_moved / seconds(each, on=chip)[0] for each in (small, large)]
    without = dataclasses.replace(chip, l2_cache_bytes=None)
    assert rates[0] > rates[1]
    assert seconds(small, on=without)[0] > seconds(small, on=chip)[0]
    assert seconds(large, on=without)[0] == pytest.approx(seconds(large, on=chip)[0], rel=0.02)


def test_every_family_has_a_class_of_traffic():
    for training in (False, True):
        assert {traffic_class("aten.any", family, training) for family in FAMILIES} <= set(TRAFFIC_CLASSES)
    assert traffic_class("aten.native_batch_norm", "normalisation", False) == "batch_norm"
    assert traffic_class("aten.native_batch_norm", "normalisation", True) == "batch_norm_training"
    assert traffic_class("aten.max_pool2d_with_indices_backward", "pooling", True) == "pooling_backward"
    assert traffic_class("aten._foreach_add_", "elementwise", True) == "optimizer"
    assert traffic_class("aten.index_select", "copy", False) == "indexing"


def test_training_normalises_in_more_passes():
    batch, layer = (
        traffic(f"aten.{name}", "normalisation", 10**9) for name in ("native_batch_norm", "native_layer_norm")
    )
    backward = traffic("aten.relu_backward", "activation", 10**6, phase="backward")
    inference, training = work_of(table_of(batch, layer)), work_of(table_of(batch, layer, backward))
    assert training.traffic_bytes[0] == 1.5 * inference.traffic_bytes[0]
    assert training.traffic_bytes[1] == inference.traffic_bytes[1]


def test_compilers_leave_less_traffic_and_no_host():
    row = traffic("aten.gelu", "activation", 10**9)
    chip = load().device("a100-sxm-80gb")
    eager, compiled = (predict(table_of(row), chip, TimeSettings(style)) for style in ("eager", "inductor"))
    assert compiled.device_s[1, 0] < eager.device_s[1, 0]
    assert compiled.host_s[1, 0] < eager.host_s[1, 0]


def test_a_cpu_is_its_own_host():
    chip = load().device("epyc-9654")
    breakdown = predict(table_of(product(BIG, BIG, BIG, precision="float32")), chip, TimeSettings())
    assert not breakdown.host_s.any()


def test_views_take_no_time():
    breakdown = predict(table_of(operation("aten.view", "view", "none", "forward", 0, 0, 0)), device(), TimeSettings())
    assert not breakdown.device_s.any() and not breakdown.host_s.any()


def test_a_product_of_unknown_sizes_is_priced_by_its_flops():
    bare = operation("aten.mm", "matmul", "matrix", "forward", 10**13, 10**6, 0, count=1)
    known = seconds(product(16384, 16384, 18626))[0]
    assert seconds(bare)[0] == pytest.approx(known, rel=0.5)


def test_bounds_name_what_takes_longest():
    rows = (product(8192, 8192, 8192), traffic("aten.add", "elementwise", 10**9), traffic("aten.add", "elementwise", 4))
    breakdown = predict(table_of(*rows), load().device("a100-sxm-80gb"), TimeSettings())
    assert [BOUNDS[bound] for bound in breakdown.bound] == ["compute", "memory", "launch"]


def test_low_mid_high_are_ordered_and_unknown_devices_are_less_certain():
    breakdown = predict(profile().table(8, 16), device(architecture="none known"), TimeSettings())
    assert breakdown.basis == "datasheet"
    assert (np.diff(breakdown.device_s, axis=0) > 0).all()
    width = {basis: spread_of("gpu", "eager", basis) for basis in ("calibrated", "datasheet")}
    assert width["datasheet"].high / width["datasheet"].low >= width["calibrated"].high / width["calibrated"].low


def test_a_kind_of_device_that_was_never_measured_is_less_certain():
    gpu, tpu = (spread_of(kind, "graph", "datasheet") for kind in ("gpu", "tpu"))
    assert tpu.low < gpu.low and tpu.high > gpu.high


def test_what_is_known_of_a_device_decides_the_basis():
    hardware = load()
    assert correction_of(hardware.device("rtx-3090")).basis == "calibrated"
    assert correction_of(hardware.device("rtx-3080-ti")).basis == "sibling"
    assert correction_of(hardware.device("tpu-v4")).basis == "datasheet"


def test_unknown_figures_are_refused():
    with pytest.raises(UnknownPrecision, match="bfloat16"):
        seconds(product(8, 8, 8), on="v100-sxm2-16gb")
    with pytest.raises(UsageError, match="no memory bandwidth"):
        seconds(product(8, 8, 8), on=device(memory_bandwidth_bytes_per_s=None))


def test_streams_side_by_side_take_as_long_as_the_longer():
    assert side_by_side(np.array(1.0), np.array(0.0), 6.0) == pytest.approx(1.0)
    assert 1.0 < side_by_side(np.array(1.0), np.array(1.0), 6.0) < 1.2
    assert side_by_side(np.array(1.0), np.array(5.0), 6.0) == pytest.approx(5.0, rel=1e-4)


def test_parameters_are_positive_and_explained():
    assert all(each.value > 0 and each.expected > 0 and each.meaning for each in parameter_table())
    shares = [each for each in parameter_table() if each.unit == "share of the datasheet figure"]
    assert shares and all(each.value < 2 for each in shares)
    assert set(parameters_of("gpu")) >= set(parameters_of("fpga"))


def test_factors_stay_near_one_and_name_their_sources():
    for each in factor_table():
        assert 0.4 < each.factor < 2.5, each
        assert each.sources
