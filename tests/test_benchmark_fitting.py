"""Figures recovered from timings that were made with known costs."""

import numpy as np
import pytest

from hardware_db.errors import DataError
from profiles.benchmark.costs import memory_share, product_amounts, seconds_by_row
from profiles.benchmark.fitting import fit_figures, table_of
from profiles.benchmark.operators import traffic_like
from profiles.machine_profile import Timing
from profiles.records import Operation

START_S = 2e-6
COSTS = {"flops": 1e-11, "left": 2e-10, "right": 6e-10}
NEAR, FAR = 2e-11, 9e-11
NEW_PAGE = 4e-10


def operation(operator, family, **numbers):
    filled = {"flops": 0, "bytes_read": 0, "bytes_written": 0, "phase": "forward", **numbers}
    flops = filled.pop("flops")
    return Operation(
        operator=operator,
        family=family,
        module=filled.pop("module", ""),
        inputs=(),
        outputs=(),
        precision=filled.pop("precision", "float32"),
        engine="matrix" if flops else "none",
        flops=flops,
        model_flops=flops,
        executed_flops=flops,
        **filled,
    )


def product(m, n, k, **more):
    sizes = (("m", m), ("n", n), ("k", k), ("batch", 1))
    moved = {"bytes_read": 4 * (m * k + k * n), "bytes_written": 4 * m * n}
    return operation("aten.mm", "matmul", flops=2 * m * n * k, dims=sizes, **moved, **more)


def seconds_of(m, n, k):
    return START_S + COSTS["flops"] * 2 * m * n * k + COSTS["left"] * m * k + COSTS["right"] * k * n


def timing(name, family, seconds, *operations, precision="float32"):
    moved = sum(each.bytes_moved for each in operations)
    flops = sum(each.executed_flops for each in operations)
    return Timing(name, family, precision, (seconds,) * 3, flops=flops, moved_bytes=moved, operations=operations)


def plain_add(elements):
    return operation("aten.add", "elementwise", bytes_read=8 * elements, bytes_written=4 * elements)


SHAPES = ((1024, 1024, 1024), (128, 768, 768), (64, 128, 9216), (16, 1024, 1024), (4096, 64, 64), (64, 8192, 512))


@pytest.fixture(scope="module")
def timings():
    """What a machine with these costs would be timed at; half of the memory's share is near."""
    made = [timing(f"matmul float32 {shape}", "matmul", seconds_of(*shape), product(*shape)) for shape in SHAPES]
    made.append(timing("launch of one operation", "launch", START_S, plain_add(1)))
    for name, per_op in (("an operation of a forward pass", 4e-6), ("a module of a forward pass", 7e-6)):
        made.append(timing(f"launch of {name}", "launch", per_op, plain_add(1)))
    made.append(timing("launch of an operation of a backward pass", "launch", 5e-6, plain_add(1)))
    for power in range(14, 24):
        bytes_moved = 12 << power
        share = 0.5 / (1 + (1e6 / bytes_moved) ** 3) + 0.5 / (1 + (2e7 / bytes_moved) ** 3)
        seconds = START_S + bytes_moved * (NEAR + (FAR - NEAR) * share)
        made.append(timing(f"addition float32 of {1 << power} again", "elementwise", seconds, plain_add(1 << power)))
    for name, elements, cost in (("add float32 big", 1 << 20, FAR), ("add float32 small again", 1 << 15, NEAR)):
        one = plain_add(elements)
        made.append(timing(name, "elementwise", START_S + one.bytes_moved * cost, one))
    kept = operation("aten.fill_", "elementwise", bytes_written=1 << 23)
    made.append(timing("reused memory 8 MiB", "fresh memory", 1e-10 * (1 << 23), kept))
    new = operation("aten.fill_", "elementwise", bytes_written=48 << 20)
    made.append(timing("fresh memory 48 MiB", "fresh memory", (1e-10 + NEW_PAGE) * (48 << 20), new))
    half = product(512, 512, 512, precision="bfloat16")
    made.append(timing("matmul bfloat16", "matmul", 3 * seconds_of(512, 512, 512), half, precision="bfloat16"))
    return made


@pytest.fixture(scope="module")
def figures(timings):
    return {figure.name: figure.value for figure in fit_figures("cpu", timings)}


def test_costs_of_products_are_recovered(figures):
    assert figures["cost.matmul.flops"] == pytest.approx(COSTS["flops"], rel=0.01)
    assert figures["cost.matmul.left_elements"] == pytest.approx(COSTS["left"], rel=0.05)
    assert figures["cost.matmul.right_elements"] == pytest.approx(COSTS["right"], rel=0.05)


def test_caches_are_recovered(figures):
    assert figures["cache.near_bytes"] == pytest.approx(1e6, rel=0.1)
    assert figures["cache.far_bytes"] == pytest.approx(2e7, rel=0.1)
    assert figures["cache.near_share"] == pytest.approx(0.5, rel=0.1)
    assert memory_share(np.array([1.0, 1e12]), figures) == pytest.approx([0, 1], abs=1e-6)


def test_traffic_new_pages_and_precisions_are_recovered(figures):
    assert figures["cost.traffic.add.cache_bytes"] == pytest.approx(NEAR)
    assert figures["cost.traffic.add.memory_bytes"] == pytest.approx(FAR)
    assert figures["fresh.s_per_byte"] == pytest.approx(NEW_PAGE)
    assert figures["precision.bfloat16"] == pytest.approx(3, rel=0.02)


def test_plain_figures(figures):
    best = max(2 * m * n * k / seconds_of(m, n, k) for m, n, k in SHAPES)
    assert figures["sustained.matmul.float32"] == pytest.approx(best)
    assert figures["launch.backward"] == pytest.approx(5e-6)
    assert figures["bandwidth.elementwise"] == pytest.approx((12 << 23) / (START_S + (12 << 23) * FAR), rel=0.05)


def test_a_product_that_was_not_timed_is_priced(figures):
    table = table_of([product(300, 500, 700)])
    priced = seconds_by_row(table, figures, launch="operation")
    assert priced.total[0] == pytest.approx(seconds_of(300, 500, 700), rel=0.02)


def test_a_disturbed_case_does_not_decide(timings):
    spoiled = [timing("matmul float32 spoiled", "matmul", 30 * seconds_of(256, 256, 256), product(256, 256, 256))]
    found = {figure.name: figure.value for figure in fit_figures("cpu", [*timings, *spoiled])}
    assert found["cost.matmul.flops"] == pytest.approx(COSTS["flops"], rel=0.15)


def test_results_of_32_mib_get_new_pages_unless_in_place(figures):
    big = {"bytes_read": 8 << 20, "bytes_written": 32 << 20}
    table = table_of([operation("aten.add", "elementwise", **big), operation("aten.add_", "elementwise", **big)])
    seconds = seconds_by_row(table, figures).work
    assert seconds[0] - seconds[1] == pytest.approx(NEW_PAGE * (32 << 20))


def test_starting_costs_by_phase_and_module(figures):
    rows = [
        operation("aten.add", "elementwise", module="layer", count=3),
        operation("aten.mul", "elementwise", module="layer", count=12),
        operation("aten.add", "elementwise", module="layer", phase="backward"),
        operation("aten.t", "view", module="layer"),
    ]
    launch = seconds_by_row(table_of(rows), {**figures, "launch.view": 1e-6}).launch
    assert launch == pytest.approx([4e-6 + 0.0, 4e-6, 5e-6, 1e-6 + 3e-6], rel=1e-6)


def test_nothing_is_priced_that_was_not_measured(figures):
    table = table_of([operation("aten.convolution", "convolution", flops=100, dims=(("m", 5), ("n", 5), ("k", 2)))])
    assert np.isnan(seconds_by_row(table, figures).work[0])


def test_a_benchmark_that_was_stopped_early_has_the_figures_it_can_have(timings):
    assert {figure.name for figure in fit_figures("cpu", timings[:2])} == {"sustained.matmul.float32"}
    assert fit_figures("cpu", []) == ()


def test_costs_cannot_be_read_from_a_benchmark_stopped_too_early():
    with pytest.raises(DataError, match=r"stopped too early\. Benchmark again"):
        seconds_by_row(table_of([product(8, 8, 8)]), {"cost.matmul.flops": 1e-11})


def test_a_gpu_has_no_costs_of_a_cpu(timings):
    assert not [figure.name for figure in fit_figures("gpu", timings) if figure.name.startswith(("cost", "cache"))]


def test_depthwise_and_both_gradients_are_told_apart():
    sizes = {"m": 100, "n": 1, "k": 9, "batch": 32, "kernel": 9, "positions": 100}
    depthwise = operation("aten.convolution", "convolution", flops=100, dims=tuple(sizes.items()))
    both = {**sizes, "n": 8, "k": 36, "batch": 1, "products": 2}
    backward = operation("aten.convolution_backward", "convolution", flops=100, dims=tuple(both.items()))
    found = {each.kind: each for each in product_amounts(table_of([depthwise, backward])) if len(each.rows)}
    assert set(found) == {"depthwise.forward", "convolution.backward"}
    amounts = dict(zip(found["convolution.backward"].names, found["convolution.backward"].values[0], strict=True))
    assert amounts["flops"] == 2 * 2 * 100 * 8 * 36
    assert amounts["flops_per_channel_in"] == amounts["flops"] / 4
    assert amounts["weight_elements"] == 2 * 8 * 36


@pytest.mark.parametrize(
    ("operator", "family", "like"),
    [
        ("aten.gelu", "activation", "gelu"),
        ("aten.hardtanh_backward", "activation", "threshold_backward"),
        ("aten.elu", "activation", "silu"),
        ("aten.roll", "copy", "clone"),
        ("mine.norm", "normalisation", "native_layer_norm"),
    ],
)
def test_unmeasured_operators_are_like_measured_ones(operator, family, like):
    assert traffic_like(operator, family) == like


def lstm(name, flops, moved, seconds, *, backward):
    forward = operation("aten.mkldnn_rnn_layer", "rnn", flops=flops, bytes_read=moved)
    both = (forward, operation("aten.mkldnn_rnn_layer_backward", "rnn", flops=2 * flops, bytes_read=3 * moved))
    return timing(name, "recurrent", seconds, *(both if backward else (forward,)))


def test_two_cases_cannot_tell_bytes_from_flops(timings):
    layers = [lstm("forward", 10**8, 10**7, 1.0e-3, backward=False), lstm("both", 10**8, 10**7, 3.4e-3, backward=True)]
    figures = {each.name: each.value for each in fit_figures("cpu", [*timings, *layers])}
    assert figures["cost.recurrent.forward.flops"] == pytest.approx(1.0e-3 / 10**8, rel=0.05)
    assert figures["cost.recurrent.backward.flops"] == pytest.approx(2.4e-3 / (2 * 10**8), rel=0.05)
    assert figures["cost.recurrent.forward.bytes"] == figures["cost.recurrent.backward.calls"] == 0
