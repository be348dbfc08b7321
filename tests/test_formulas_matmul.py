"""Dense products: every count written out by hand from the shapes."""

from __future__ import annotations

import pytest
from formula_calls import cost, spec


def test_mm_is_two_flops_per_multiply_add() -> None:
    found = cost("aten.mm", spec(8, 4), spec(4, 6), out=spec(8, 6))
    assert found.flops == found.model_flops == found.executed_flops == 2 * 8 * 6 * 4
    assert found.family == "matmul" and found.engine == "matrix" and found.counted
    assert found.dims == (("m", 8), ("n", 6), ("k", 4), ("batch", 1))


def test_mm_moves_each_matrix_once() -> None:
    found = cost(
        "aten.mm", spec(8, 4, dtype="bfloat16"), spec(4, 6, dtype="bfloat16"), out=spec(8, 6, dtype="bfloat16")
    )
    assert found.bytes_read == 2 * (8 * 4 + 4 * 6) and found.bytes_written == 2 * 8 * 6


def test_complex_product_is_eight_flops_per_multiply_add() -> None:
    left, right = spec(64, 32, dtype="complex64"), spec(32, 32, dtype="complex64")
    assert cost("aten.mm", left, right, out=spec(64, 32, dtype="complex64")).flops == 8 * 64 * 32 * 32


def test_addmm_adds_inside_the_kernel() -> None:
    found = cost("aten.addmm", spec(6), spec(8, 4), spec(4, 6), out=spec(8, 6))
    assert found.flops == 2 * 8 * 6 * 4
    assert dict(found.dims)["vector_flops"] == 8 * 6
    assert found.bytes_read == 4 * (6 + 8 * 4 + 4 * 6)


def test_addend_times_zero_is_not_read() -> None:
    found = cost("aten.baddbmm", spec(3, 8, 6), spec(3, 8, 4), spec(3, 4, 6), out=spec(3, 8, 6), beta=0)
    assert found.flops == 2 * 3 * 8 * 6 * 4
    assert found.bytes_read == 4 * 3 * (8 * 4 + 4 * 6)


@pytest.mark.parametrize(
    ("operator", "args", "out", "multiply_adds"),
    [
        ("aten.bmm", (spec(5, 8, 4), spec(5, 4, 6)), spec(5, 8, 6), 5 * 8 * 6 * 4),
        ("aten.addbmm", (spec(8, 6), spec(5, 8, 4), spec(5, 4, 6)), spec(8, 6), 5 * 8 * 6 * 4),
        ("aten.mv", (spec(8, 4), spec(4)), spec(8), 8 * 4),
        ("aten.addmv", (spec(8), spec(8, 4), spec(4)), spec(8), 8 * 4),
        ("aten.dot", (spec(7), spec(7)), spec(), 7),
        ("aten.vdot", (spec(7), spec(7)), spec(), 7),
        ("aten.linalg_vecdot", (spec(3, 7), spec(3, 7)), spec(3), 3 * 7),
        ("aten.linalg_vecdot", (spec(7), spec(7)), spec(), 7),
        ("aten.addr", (spec(3, 7), spec(3), spec(7)), spec(3, 7), 3 * 7),
        ("aten.linear", (spec(2, 5, 4), spec(6, 4), spec(6)), spec(2, 5, 6), 2 * 5 * 6 * 4),
        ("aten.linear", (spec(2, 5, 4), spec(4)), spec(2, 5), 2 * 5 * 4),
        ("aten.matmul", (spec(9, 1, 8, 4), spec(2, 4, 6)), spec(9, 2, 8, 6), 18 * 8 * 6 * 4),
        ("aten.matmul", (spec(4), spec(2, 4, 6)), spec(2, 6), 2 * 6 * 4),
        ("aten.matmul", (spec(4), spec(4)), spec(), 4),
        ("aten.matmul", (spec(8, 4), spec(4, 6)), spec(8, 6), 8 * 6 * 4),
        ("aten.matmul", (spec(8, 4), spec(4)), spec(8), 8 * 4),
        ("aten.inner", (spec(3, 5), spec(2, 5)), spec(3, 2), 3 * 2 * 5),
        ("aten.inner", (spec(), spec(2, 5)), spec(2, 5), 2 * 5),
        ("aten.tensordot", (spec(3, 4, 5), spec(4, 5, 6), (1, 2), (0, 1)), spec(3, 6), 3 * 6 * 20),
        ("aten._int_mm", (spec(8, 4, dtype="int8"), spec(4, 6, dtype="int8")), spec(8, 6, dtype="int32"), 8 * 6 * 4),
        ("aten._scaled_mm", (spec(8, 4), spec(4, 6), spec(), spec()), spec(8, 6), 8 * 6 * 4),
        ("aten._weight_int4pack_mm", (spec(8, 64), spec(2, 2, 32, 4), 32, spec(2, 16, 2)), spec(8, 16), 8 * 16 * 64),
        ("aten._weight_int8pack_mm", (spec(8, 64), spec(16, 64, dtype="int8"), spec(16)), spec(8, 16), 8 * 16 * 64),
        ("aten._dyn_quant_matmul_4bit", (spec(8, 64), spec(999), 32, 64, 16), spec(8, 16), 8 * 16 * 64),
        ("aten._foreach_mm", ((spec(2, 3), spec(4, 5)), (spec(3, 4), spec(5, 6))), (spec(2, 4), spec(4, 6)), 24 + 120),
        ("quantized.linear_dynamic", (spec(8, 64), "packed"), spec(8, 16), 8 * 16 * 64),
    ],
)
def test_products(operator: str, args: tuple[object, ...], out: object, multiply_adds: int) -> None:
    found = cost(operator, *args, out=out)
    assert found.flops == 2 * multiply_adds
    assert found.engine == "matrix" and found.counted


def test_two_elements_of_float4_share_a_byte() -> None:
    left, right = spec(8, 32, dtype="float4_e2m1fn_x2"), spec(32, 16, dtype="float4_e2m1fn_x2")
    assert cost("aten._scaled_mm", left, right, spec(), spec(), out=spec(8, 16)).flops == 2 * 8 * 16 * 64


def test_quantised_linear_reads_one_byte_per_weight() -> None:
    assert cost("quantized.linear_dynamic", spec(8, 64), "packed", out=spec(8, 16)).bytes_read == 4 * 8 * 64 + 64 * 16


@pytest.mark.parametrize(
    ("left", "right", "out", "multiply_adds"),
    [
        (spec(100, 16), spec(4, 16, 32), spec(100, 32), 100 * 16 * 32),
        (spec(4, 32, 16), spec(16, 100), spec(32, 100), 32 * 16 * 100),
        (spec(16, 100), spec(100, 32), spec(4, 16, 32), 16 * 100 * 32),
        (spec(4, 10, 16), spec(4, 16, 32), spec(4, 10, 32), 4 * 10 * 16 * 32),
    ],
    ids=["ragged rows", "ragged columns", "ragged inner", "batched"],
)
def test_grouped_product_does_not_depend_on_the_split(
    left: object, right: object, out: object, multiply_adds: int
) -> None:
    found = cost("aten._grouped_mm", left, right, spec(4, dtype="int32"), out=out)
    assert found.flops == 2 * multiply_adds


def test_linear_backward_counts_what_is_wanted() -> None:
    args = (spec(8, 4), spec(8, 6), spec(6, 4))
    for mask, products in (((True, True, True), 2), ((False, True, True), 1), ((False, False, True), 0)):
        assert cost("aten.linear_backward", *args, mask, out=(spec(6),)).flops == products * 2 * 8 * 6 * 4


def test_bilinear_is_a_product_and_then_a_dot_product_per_output() -> None:
    batch, out, left, right = 8, 5, 3, 7
    args = (spec(batch, left), spec(out, left, right), spec(batch, right))
    found = cost("aten._trilinear", *args, (1, 3), (0,), (1, 2), (2, 3), out=spec(batch, out))
    assert found.flops == 2 * batch * out * left * right + 2 * batch * out * right


def test_euclidean_distances_are_multiply_adds_of_all_pairs() -> None:
    args = (spec(2, 10, 3), spec(2, 12, 3))
    found = cost("aten._cdist_forward", *args, 2.0, None, out=spec(2, 10, 12))
    assert found.engine == "matrix" and found.flops == 2 * 2 * 10 * 12 * 3
    manhattan = cost("aten._cdist_forward", *args, 1.0, None, out=spec(2, 10, 12))
    assert manhattan.engine == "vector" and manhattan.flops == 3 * 2 * 10 * 12 * 3


def test_distances_by_one_product_multiply_longer_rows() -> None:
    found = cost("aten._euclidean_dist", spec(64, 32), spec(48, 32), out=spec(64, 48))
    assert found.flops == found.model_flops == 2 * 64 * 48 * 32
    assert found.executed_flops == 2 * 64 * 48 * (32 + 2)


def test_sparse_product_counts_stored_elements_only() -> None:
    sparse, dense = spec(64, 64, stored=100), spec(64, 8)
    for operator, args in (
        ("aten._sparse_mm", (sparse, dense)),
        ("sparse.mm", (sparse, dense)),
        ("aten._sparse_addmm", (spec(64, 8), sparse, dense)),
        ("sparse.addmm", (spec(64, 8), sparse, dense)),
    ):
        found = cost(operator, *args, out=spec(64, 8))
        assert found.flops == 2 * 100 * 8 and found.family == "sparse"
    assert cost("aten.sparse_sampled_addmm", sparse, spec(64, 5), spec(5, 64), out=sparse).flops == 2 * 100 * 5


def test_an_expanded_operand_is_read_once_but_multiplied_in_full() -> None:
    found = cost("aten.mm", spec(8, 4, stored=1), spec(4, 6), out=spec(8, 6))
    assert found.flops == 2 * 8 * 6 * 4 and found.bytes_read == 4 * (1 + 24)
