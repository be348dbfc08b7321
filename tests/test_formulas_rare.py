"""Operators that few models call, and numbers at the edge of a formula's cases: every count written out by hand."""

from __future__ import annotations

import pytest
from formula_calls import cost, spec

from profiles.formulas import unknown_cost
from profiles.formulas.call import Call


@pytest.mark.parametrize("operator", ["aten.conv1d", "aten.conv2d", "aten.conv3d"])
def test_convolutions_add_a_bias_where_there_is_one(operator):
    dims = int(operator[-2])
    image, weight = spec(2, 8, *[6] * dims), spec(16, 2, *[3] * dims)
    out = spec(2, 16, *[4] * dims)
    multiply_adds = 2 * 16 * 4**dims * 2 * 3**dims
    settings = ((1,) * dims, (0,) * dims, (1,) * dims, 4)
    found = cost(operator, image, weight, spec(16), *settings, out=out)
    assert found.flops == 2 * multiply_adds and dict(found.dims)["vector_flops"] == 2 * 16 * 4**dims
    assert "vector_flops" not in dict(cost(operator, image, weight, None, *settings, out=out).dims)
    whole = cost(operator, image, spec(16, 8, *[3] * dims), None, out=out)  # groups left out: one
    assert whole.flops == 2 * multiply_adds * 4 and dict(whole.dims)["batch"] == 1


def test_transposed_convolutions_count_the_input_map():
    args = (spec(1, 64, 8, 8), spec(64, 8, 4, 4), None, (2, 2), (1, 1), (0, 0), 4)
    found = cost("aten.conv_transpose2d", *args, out=spec(1, 32, 16, 16))
    assert found.flops == 2 * (64 * 8 * 8) * (8 * 4 * 4) and dict(found.dims)["positions"] == 16 * 16


def test_depthwise_operators_have_one_group_a_channel():
    args = (spec(2, 32, 12, 12), spec(32, 1, 3, 3), (3, 3), None)
    found = cost("aten._conv_depthwise2d", *args, out=spec(2, 32, 12, 12))
    assert found.flops == 2 * (2 * 32 * 12 * 12) * 9 and dict(found.dims)["batch"] == 32


def test_convolution_over_time_first():
    forward = cost("aten.conv_tbc", spec(10, 2, 4), spec(3, 4, 6), spec(6), 0, out=spec(8, 2, 6))
    assert forward.flops == 2 * (8 * 2 * 6) * (3 * 4)
    gradients = (spec(10, 2, 4), spec(3, 4, 6), spec(6))
    backward = cost("aten.conv_tbc_backward", spec(8, 2, 6), *gradients, 0, out=gradients)
    assert backward.flops == 2 * forward.flops and dict(backward.dims)["m"] == 8 * 2


def test_gradients_of_a_matrix_product_with_broadcast_batches():
    gradient, left, right = spec(9, 2, 8, 6), spec(9, 1, 8, 4), spec(2, 4, 6)
    once = 2 * 9 * 2 * 8 * 6 * 4
    for mask, products in (((True, True), 2), ((True, False), 1)):
        found = cost("aten.matmul_backward", gradient, left, right, mask, out=(left,))
        assert found.flops == products * once and dict(found.dims)["n"] == 6
    by_vector = cost("aten.matmul_backward", spec(8), spec(8, 4), spec(4), (True, True), out=(spec(8, 4), spec(4)))
    assert by_vector.flops == 2 * 2 * 8 * 4 and dict(by_vector.dims)["n"] == 1


@pytest.mark.parametrize(
    ("left", "right", "out", "dims"),
    [
        (spec(8, 4), spec(4, 6), spec(8, 6), (8, 6, 4, 1)),
        (spec(4), spec(4, 6), spec(6), (1, 6, 4, 1)),
        (spec(8, 4), spec(4), spec(8), (8, 1, 4, 1)),
        (spec(3, 8, 4), spec(4, 6), spec(3, 8, 6), (8, 6, 4, 3)),
    ],
)
def test_rows_columns_and_batch_of_a_matrix_product(left, right, out, dims):
    found = cost("aten.matmul", left, right, out=out)
    assert tuple(dict(found.dims)[name] for name in ("m", "n", "k", "batch")) == dims


def test_gradients_of_one_matrix_product():
    found = cost("aten.matmul_backward", spec(8, 6), spec(8, 4), spec(4, 6), (True, True), out=(spec(8, 4),))
    assert found.flops == 2 * 2 * 8 * 6 * 4 and dict(found.dims)["n"] == 6 and dict(found.dims)["m"] == 8


def test_a_sum_over_one_element_is_an_outer_product():
    assert cost("aten.tensordot", spec(3, 1), spec(1, 2), (1,), (0,), out=spec(3, 2)).flops == 2 * 3 * 2


@pytest.mark.parametrize(
    ("left", "right", "out", "groups"),
    [
        (spec(100, 16), spec(4, 16, 32), spec(100, 32), 4),
        (spec(4, 32, 16), spec(16, 100), spec(32, 100), 4),
        (spec(16, 100), spec(100, 32), spec(5, 16, 32), 5),
    ],
)
def test_groups_of_a_grouped_product(left, right, out, groups):
    found = cost("aten._grouped_mm", left, right, spec(groups, dtype="int32"), out=out)
    assert dict(found.dims)["groups"] == groups and found.counted


def test_each_gradient_of_onednns_linear_is_one_product():
    rows, weight, gradient = spec(2, 5, 4), spec(6, 4), spec(2, 5, 6)
    by_input = cost("aten.mkldnn_linear_backward_input", (2, 5, 4), gradient, weight, out=rows)
    by_weight = cost("aten.mkldnn_linear_backward_weights", gradient, rows, weight, True, out=weight)
    assert by_input.flops == by_weight.flops == 2 * 2 * 5 * 6 * 4


def test_a_linear_layer_adds_its_bias_where_it_has_one():
    args = (spec(2, 5, 4), spec(6, 4))
    assert dict(cost("aten.linear", *args, spec(6), out=spec(2, 5, 6)).dims)["vector_flops"] == 2 * 5 * 6
    assert "vector_flops" not in dict(cost("aten.linear", *args, out=spec(2, 5, 6)).dims)


def test_an_addend_that_counts_once_is_read():
    found = cost("aten.addmm", spec(6), spec(8, 4), spec(4, 6), out=spec(8, 6), beta=1)
    assert found.bytes_read == 4 * (6 + 32 + 24) and dict(found.dims)["vector_flops"] == 48


def test_two_of_four_sparse_products_count_as_dense_ones():
    dense, out = spec(64, 8), spec(32, 8)
    assert cost("aten._cslt_sparse_mm", spec(999), dense, out=out).flops == 2 * 32 * 8 * 64
    assert cost("aten._sparse_semi_structured_mm", spec(32, 32), spec(9), dense, out=out).flops == 2 * 32 * 8 * 64
    args = (spec(8), spec(32, 32), spec(9), dense)
    assert cost("aten._sparse_semi_structured_addmm", *args, out=out).flops == 2 * 32 * 8 * 64


@pytest.mark.parametrize(
    ("wanted", "products", "per_score"), [((False, False), 1, 5), ((True, False), 2, 9), ((True, True), 3, 9)]
)
def test_a_linear_layer_with_its_loss_in_one_call(wanted, products, per_score):
    args = (spec(4, 7, 16), spec(50, 16), *[None] * 10, *wanted)
    found = cost("torch_nn._linear_cross_entropy_batch_chunked", *args, out=spec())
    assert found.flops == products * 2 * 28 * 50 * 16
    assert dict(found.dims)["vector_flops"] == per_score * 28 * 50


def test_a_transform_of_two_points_is_five_times_two():
    pairs, single = spec(3, 2, dtype="complex64"), spec(3, 1, dtype="complex64")
    assert cost("aten._fft_c2c", pairs, (1,), 0, True, out=pairs).flops == 3 * 5 * 2
    assert cost("aten._fft_c2c", single, (1,), 0, True, out=single).flops == 0


@pytest.mark.parametrize(("left", "right", "pairs"), [(-1, -1, 64), (2, 0, 1 + 2 + 6 * 3), (0, 1, 7 * 2 + 1)])
def test_flash_attention_counts_the_pairs_within_its_window(left, right, pairs):
    query = spec(2, 8, 4, 16)
    args = (query, query, query, None, None, 8, 8, 0.0, False, False)
    found = cost("aten._flash_attention_forward", *args, out=query, window_size_left=left, window_size_right=right)
    assert found.executed_flops == 2 * 2 * (2 * 4) * pairs * 16 and found.flops == 2 * 2 * (2 * 4) * 64 * 16


def test_what_nobody_registered_is_no_exact_count():
    found = unknown_cost(Call("mylib.unheard_of", "default", (spec(4, 4),), (), (spec(4, 4),)))
    assert not found.counted and found.engine == "vector"


M, S = 17, 9
BOOK = {
    "linalg_cholesky": S**3 / 3,
    "linalg_cholesky_ex": S**3 / 3,
    "cholesky": S**3 / 3,
    "cholesky_inverse": 2 * S**3 / 3,
    "linalg_ldl_factor_ex": S**3 / 3,
    "linalg_lu_factor": 2 * S**3 / 3,
    "linalg_lu_factor_ex": 2 * S**3 / 3,
    "_linalg_det": 2 * S**3 / 3,
    "_linalg_slogdet": 2 * S**3 / 3,
    "linalg_inv": 2 * S**3,
    "linalg_inv_ex": 2 * S**3,
    "inverse": 2 * S**3,
    "_linalg_eigvals": 10 * S**3,
    "linalg_eigvals": 10 * S**3,
    "linalg_eig": 25 * S**3,
    "linalg_eigvalsh": 4 * S**3 / 3,
    "linalg_eigh": 9 * S**3,
}
"""FLOPs of square matrices of S by S (Golub and Van Loan, Matrix Computations)."""
TALL = {
    "geqrf": 2 * M * S**2 - 2 * S**3 / 3,
    "linalg_svdvals": 4 * M * S**2 - 4 * S**3 / 3,
    "linalg_svd": 14 * M * S**2 + 8 * S**3,
}
"""FLOPs of matrices of M by S."""


@pytest.mark.parametrize(
    ("name", "rows", "flops"),
    [(name, S, book) for name, book in BOOK.items()] + [(name, M, each) for name, each in TALL.items()],
)
def test_factorisations_cost_what_the_book_says(name, rows, flops):
    found = cost(f"aten.{name}", spec(4, rows, S), out=(spec(4, rows, S),))
    assert found.flops == pytest.approx(4 * flops, abs=8)  # whole numbers of each of four matrices


def test_a_single_channel_is_a_product_of_one_column():
    found = cost("aten.conv2d", spec(2, 1, 6, 6), spec(1, 1, 3, 3), None, out=spec(2, 1, 4, 4))
    assert found.flops == 2 * (2 * 4 * 4) * 9 and dict(found.dims)["positions"] == 2 * 6 * 6


def test_a_sparse_matrix_times_one_column():
    dense, out = spec(64, 1), spec(32, 1)
    assert cost("aten._cslt_sparse_mm", spec(999), dense, out=out).flops == 2 * 32 * 64
    addmm = cost("aten._sparse_semi_structured_addmm", spec(1), spec(32, 32), spec(9), dense, out=out)
    assert addmm.flops == 2 * 32 * 64


def test_groups_of_two_elements_a_byte():
    left, right = (spec(*shape, dtype="float4_e2m1fn_x2") for shape in ((100, 8), (4, 8, 32)))
    assert (
        cost("aten._scaled_grouped_mm", left, right, spec(100), spec(4), out=spec(100, 32)).flops == 2 * 100 * 32 * 16
    )
