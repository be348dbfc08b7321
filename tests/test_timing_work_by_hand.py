"""What a table's operations are to a device, by hand: products, their gradients, attention, traffic."""

from dataclasses import replace

import numpy as np
import pytest
from hand_made import operation

from estimator.timing.traffic_classes import TRAFFIC_CLASSES
from estimator.timing.work import DATA, FORWARD, MATMUL, WEIGHT, Products, work_of
from profiles.trace_record import RawTrace, fold


def made(name, family, phase="forward", engine="matrix", flops=1000, moved=(300, 60), precision="bfloat16", **dims):
    one = operation(name, family, engine, phase, flops, *moved, count=1, precision=precision)
    return replace(one, dims=tuple(dims.items()))


def work(*operations):
    return work_of(fold(RawTrace(list(operations), [], 1, None)).table)


def only(products):
    """The figures of a single product."""
    return {name: getattr(products, name).tolist() for name in Products.__dataclass_fields__ if name != "row"}


def expected(role, m, n, k, batch, kernel, stride, moved):
    values = (role, m, n, k, batch, kernel, stride, moved)
    names = ("role", "m", "n", "k", "batch", "kernel", "stride", "moved")
    return {name: [pytest.approx(value)] for name, value in zip(names, values, strict=True)}


def test_plain_products_are_as_many_as_they_say():
    found = only(work(made("aten.mm", "matmul", m=3, n=5, k=7, batch=2, products=4)).products)
    assert found == expected(MATMUL, 3, 5, 7, 8, 0, 1, 360)
    assert only(work(made("aten.mm", "matmul", m=1)).products) == expected(MATMUL, 1, 1, 1, 1, 0, 1, 360)


@pytest.mark.parametrize(("positions", "stride"), [(48, 4), (12, 1), (3, 4), (1, 12), (0, 1), (None, 1)])
def test_strides_are_positions_of_the_larger_map(positions, stride):
    sizes = {} if positions is None else {"positions": positions}
    found = work(made("aten.convolution", "convolution", m=12, n=5, k=27, batch=2, kernel=9, **sizes)).products
    assert found.role.tolist() == [FORWARD] and found.batch.tolist() == [2]
    assert found.stride.tolist() == [stride]
    assert found.flops.tolist() == [2 * 12 * 5 * 27 * 2]


def test_gradients_of_a_convolution_are_two_products():
    """By the input 12 x 5*9 x 3, by the weight 5 x 27 x 12; half of 360 bytes and of 12 x 5 x 2 results."""
    sizes = {"m": 12, "n": 5, "k": 27, "batch": 2, "kernel": 9, "positions": 12}
    both = only(work(made("aten.convolution_backward", "convolution", "backward", products=2, **sizes)).products)
    traffic = (360 + 12 * 5 * 2 * 2) / 2
    assert both["role"] == [DATA, WEIGHT] and both["moved"] == [traffic, traffic]
    assert (both["m"], both["n"], both["k"], both["batch"]) == ([12, 5], [3, 27], [45, 12], [2, 2])
    alone = only(work(made("aten.convolution_backward", "convolution", "backward", **sizes)).products)
    assert alone == expected(WEIGHT, 5, 27, 12, 2, 9, 1, 360)


@pytest.mark.parametrize(
    ("precision", "size"),
    [("float64", 8), ("float32", 4), ("tf32", 4), ("float16", 2), ("bfloat16", 2), ("float8", 1), ("int8", 1),
     ("int4", 4)],
)  # fmt: skip
def test_elements_of_recurrent_layers(precision, size):
    found = work(made("aten.lstm", "rnn", precision=precision, m=2, n=8, k=4, steps=1)).recurrent
    assert found.element_bytes.tolist() == [size] and found.steps.tolist() == [1]
    assert (found.m.tolist(), found.n.tolist(), found.k.tolist(), found.flops.tolist()) == ([2], [8], [4], [1000])


def test_what_is_no_product_of_known_size_is_a_kernel():
    found = work(
        made("aten.attention", "attention", m=300, k=64, batch=6), made("aten.attention_backward", "attention"),
        made("aten.mm", "matmul"), made("aten.lstm", "rnn"),
    )  # fmt: skip
    assert len(found.products.row) == len(found.recurrent.row) == 0
    kernels = found.kernels
    assert kernels.blocks.tolist() == [6 * 3, 1, np.inf, np.inf]
    assert kernels.depth.tolist()[0] == 64 and np.isnan(kernels.depth[1:]).all()
    assert kernels.attention.tolist() == [True, True, False, False]
    assert kernels.plain.tolist() == [False, False, True, False]
    assert kernels.backward.tolist() == [False, True, False, False] and kernels.moved.tolist() == [360] * 4


def test_a_single_flop_multiplies_and_none_does_not():
    assert work(made("aten.mm", "matmul", flops=1, m=1)).products.row.tolist() == [0]
    assert work(made("aten.mm", "matmul", flops=0, m=1)).traffic_row.tolist() == [0]


def vector(name, family, phase="forward", moved=(200, 100)):
    return made(name, family, phase, "vector", moved=moved)


def test_traffic_has_its_class_and_passes():
    """Normalisation backward 5 passes of 3; batch normalisation in training 3 of 2."""
    forward, norm = vector("aten.native_batch_norm", "normalisation"), vector("aten.layer_norm", "normalisation")
    backward = vector("aten.layer_norm_backward", "normalisation", "backward")
    found = work(forward, norm, backward, vector("aten.add", "elementwise"), vector("aten.softmax", "softmax"))
    assert found.traffic_bytes == pytest.approx([450, 300, 500, 300, 300])
    names = [TRAFFIC_CLASSES[each] for each in found.traffic_class]
    assert names == ["batch_norm_training", "layer_norm", "layer_norm", "elementwise", "softmax"]
    assert work(forward, norm).traffic_bytes.tolist() == [300, 300]


@pytest.mark.parametrize(
    ("name", "written", "fresh"),
    [("aten.add", 2**25, 2**25), ("aten.add", 2**25 - 1, 0), ("aten.add_", 2**26, 0)],
)
def test_large_results_come_anew_from_the_system(name, written, fresh):
    """From 32 MiB on, unless they are written in place."""
    assert work(vector(name, "elementwise", moved=(0, written))).fresh.tolist() == [fresh]


def test_depthwise_convolutions_have_one_channel_a_group():
    def depthwise(**sizes):
        return work(made("aten.convolution", "convolution", m=12, n=1, kernel=9, **sizes)).products.depthwise.tolist()

    assert depthwise(k=9, batch=2) == [True]
    assert depthwise(k=18, batch=2) == [False] and depthwise(k=9, batch=1) == [False]


def test_kernels_of_one_element_have_channels_too():
    sizes = {"m": 12, "n": 4, "k": 4, "batch": 8, "kernel": 1, "positions": 12, "products": 2}
    found = work(made("aten.convolution_backward", "convolution", "backward", **sizes)).products
    assert found.channels_in.tolist() == found.channels_out.tolist() == [4, 4]
    assert found.n.tolist() == [4, 4] and found.k.tolist() == [4, 12]


def test_heads_of_two_features_are_known():
    assert work(made("aten.attention", "attention", m=300, k=2, batch=6)).kernels.depth.tolist() == [2]
