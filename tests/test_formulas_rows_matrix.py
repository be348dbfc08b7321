"""Operators that multiply matrices: FLOPs, sizes and bytes of calls with odd sizes, worked out by hand."""

from __future__ import annotations

from formula_calls import spec
from formula_rows import Row, rows

IMAGE, WEIGHT, OUT = spec(2, 6, 7, 7), spec(8, 3, 3, 3), spec(2, 8, 5, 5)
"""Two groups: 8 channels of the output in groups of 4, each from 3 of the 6 channels of the input."""
CONVOLVED = 2 * (2 * 8 * 5 * 5) * (3 * 3 * 3)
ONES, ZEROS = (1, 1), (0, 0)
SINGLE = spec(2, 6, 7, 7), spec(1, 6, 3, 3), spec(2, 1, 5, 5)


@rows(
    Row("aten.convolution_backward_overrideable",
        (OUT, IMAGE, WEIGHT, ONES, ZEROS, ONES, False, ZEROS, 2, (True, True, True)), (IMAGE, WEIGHT, spec(8)),
        2 * CONVOLVED, sizes={"batch": 2, "products": 2, "vector_flops": 2 * 8 * 5 * 5, "positions": 2 * 7 * 7}),
    Row("aten.convolution_backward_overrideable",
        (OUT, IMAGE, WEIGHT, ONES, ZEROS, ONES, False, ZEROS, 2, (False, True, False)), (WEIGHT,),
        CONVOLVED, read=4 * (400 + 588), sizes={"products": 0, "vector_flops": 0}),
    Row("aten.convolution_backward_overrideable",  # transposed: summed over the map of 7 x 7
        (spec(2, 6, 9, 9), spec(2, 8, 7, 7), WEIGHT, ONES, ZEROS, ONES, True, ZEROS, 2, (True, False, False)),
        (spec(2, 8, 7, 7),), 2 * (2 * 8 * 7 * 7) * 27, sizes={"m": 2 * 49, "n": 4, "k": 27, "positions": 2 * 81}),
    Row("aten._slow_conv2d_backward", (spec(2, 8, 5, 5), IMAGE, spec(8, 6, 3, 3), (3, 3), ONES, ZEROS,
        (True, False, False)), (IMAGE,), 2 * 400 * 54, sizes={"batch": 1, "m": 50, "vector_flops": 0}),
    Row("aten._slow_conv2d_backward", (spec(2, 8, 5, 5), IMAGE, spec(8, 6, 3, 3), (3, 3), ONES, ZEROS),
        (IMAGE,), 2 * 2 * 400 * 54, sizes={"products": 2, "vector_flops": 400}, overload="grad_input"),
    Row("aten.slow_conv3d", (spec(2, 3, 5, 5, 5), spec(4, 3, 2, 2, 2), (2, 2, 2), spec(4)), spec(2, 4, 4, 4, 4),
        2 * (2 * 4 * 64) * 24, sizes={"batch": 1, "vector_flops": 2 * 4 * 64, "kernel": 8, "n": 4}),
    Row("aten.conv_depthwise3d", (spec(2, 3, 5, 5, 5), spec(6, 1, 2, 2, 2), (2, 2, 2), spec(6)), spec(2, 6, 4, 4, 4),
        2 * (2 * 6 * 64) * 8, sizes={"batch": 6, "n": 1, "vector_flops": 2 * 6 * 64}),
    Row("aten._conv_depthwise2d", (spec(2, 6, 7, 7), spec(6, 2, 3, 3), (3, 3), None), spec(2, 6, 5, 5),
        2 * 300 * 18, sizes={"batch": 3, "n": 2, "vector_flops": 0}),
    Row("aten.conv_tbc", (spec(7, 2, 5), spec(3, 5, 1), spec(1), 0), spec(5, 2, 1), 2 * 10 * 15,
        sizes={"m": 10, "n": 1, "k": 15}),
    Row("aten.conv_tbc_backward", (spec(5, 2, 1), spec(7, 2, 5), spec(3, 5, 1), spec(1), 0), (spec(7, 2, 5),),
        2 * 2 * 10 * 15, sizes={"m": 10, "products": 2}),
    Row("aten.conv2d", (SINGLE[0], SINGLE[1], None), SINGLE[2], 2 * 50 * 54, sizes={"m": 50, "positions": 98}),
    Row("aten.convolution_backward", (OUT, IMAGE, WEIGHT, (8,), ONES, ZEROS, ONES, False, ZEROS, 2,
        (False, False, True)), (spec(8),), 400, read=1600, written=32),
)  # fmt: skip
def test_convolutions(row):
    row.check()


@rows(
    # bilinear: (b, i), (o, i, j), (b, j): i1 and i3 lack o, i1 lacks j, i2 lacks b, i3 lacks i
    Row("aten._trilinear", (spec(5, 3), spec(7, 3, 4), spec(5, 4), (1, 3), (0,), (1, 2), (2, 3)), spec(5, 7),
        2 * (5 * 7 * 3 * 4) + 2 * (5 * 7 * 4), sizes={"m": 5 * 7 * 4, "n": 1, "k": 3, "batch": 1}),
    # nothing summed before the third: every element of the joint space is one product, then one for the sum
    Row("aten._trilinear", (spec(5, 3), spec(5, 3), spec(5, 3), (), (), (), (1,)), spec(5), 2 * 15 + 2 * 15,
        sizes={"m": 15, "n": 1, "k": 1}),
    Row("aten._trilinear", (spec(5, 3), spec(1, 3, 4), spec(5, 4), (1, 3), (0,), (1, 2), (2, 3)), spec(5, 1),
        2 * (5 * 3 * 4) + 2 * (5 * 4), sizes={"m": 5 * 4, "k": 3}),
    Row("aten._foreach_mm", ((spec(5, 3), spec(2, 6)), (spec(3, 7), spec(6, 4))), (spec(5, 7), spec(2, 4)),
        2 * 5 * 3 * 7 + 2 * 2 * 6 * 4, sizes={"m": 5, "n": 7, "k": 3, "vector_flops": 0}),
    Row("aten.mm", (spec(5, 3, dtype="complex64"), spec(3, 7, dtype="complex64")), spec(5, 7, dtype="complex64"),
        8 * 5 * 3 * 7, read=8 * (15 + 21), written=8 * 35),
)  # fmt: skip
def test_products(row):
    row.check()


TOKENS, KEYS = spec(2, 5, 12), spec(2, 7, 12)
FULL = spec(36, 12), spec(36), spec(12, 12), spec(12)
HEAD = 12 // 3


def encoder_layer(gelu: bool, heads: int) -> Row:
    norms = (spec(12),) * 4
    feed = spec(20, 12), spec(20), spec(12, 20), spec(12)
    tokens, pairs = 2 * 5, 2 * heads * 5 * 5
    products = tokens * (36 * 12 + 12 * 12 + 2 * 20 * 12) + 2 * pairs * (12 // heads)
    biases, norms_flops, residuals = tokens * (36 + 12 + 20 + 12), 2 * 7 * 12 * tokens, 2 * 12 * tokens
    activation = tokens * 20 * (5 if gelu else 1)
    vector = biases + norms_flops + residuals + activation + 6 * pairs
    args = (TOKENS, 12, heads, *FULL, gelu, False, 1e-5, *norms, *feed)
    return Row("aten._transformer_encoder_layer_fwd", args, TOKENS, 2 * products,
               sizes={"m": 10, "n": 36, "k": 12, "vector_flops": vector})  # fmt: skip


@rows(
    Row("aten._native_multi_head_attention", (TOKENS, KEYS, KEYS, 12, 3, *FULL), (TOKENS,),
        2 * (2 * (10 + 14) * 144 + 2 * (2 * 3 * 5 * 7) * HEAD),
        sizes={"m": 14, "n": 12, "k": 12, "batch": 1, "vector_flops": 12 * (10 + 14 + 14 + 10) + 6 * 2 * 3 * 5 * 7}),
    Row("aten._native_multi_head_attention", (TOKENS, KEYS, KEYS, 12, 1, *FULL), (TOKENS,),
        2 * (2 * (10 + 14) * 144 + 2 * (2 * 5 * 7) * 12)),
    Row("aten._native_multi_head_attention", (spec(1, 40, 6), spec(1, 50, 6), spec(1, 50, 6), 6, 2, *FULL),
        (spec(1, 40, 6),), 2 * (2 * (40 + 50) * 36 + 2 * (2 * 40 * 50) * 3),
        sizes={"m": 40, "n": 50, "k": 3, "batch": 2}),
    encoder_layer(True, 3),
    encoder_layer(False, 1),
    Row("aten._triton_scaled_dot_attention", (spec(2, 3, 5, 4), spec(2, 3, 7, 4), spec(2, 3, 7, 4)), spec(2, 3, 5, 4),
        2 * 2 * (6 * 5 * 7) * 4, sizes={"m": 5, "n": 7, "k": 4, "batch": 6, "vector_flops": 6 * 6 * 5 * 7}),
    Row("aten._transform_bias_rescale_qkv", (spec(2, 5, 36), spec(36), 3), (spec(2, 3, 5, 4),) * 3, 360 + 120),
)  # fmt: skip
def test_whole_attention_layers(row):
    row.check()


LEFT, RIGHT, PRODUCT = spec(8, 6, stored=10), spec(6, 5), spec(8, 5)
FEW = spec(6, 5, stored=7)
COPIES = (
    "_sparse_sum_backward sparse_mask _sparse_mask_projection to_dense _to_dense to_sparse _to_sparse to_sparse_csr "
    "_to_sparse_csr _to_sparse_csc _to_sparse_bsr _to_sparse_bsc to_dense_backward"
)


@rows(
    Row("sparse.mm", (LEFT, RIGHT), PRODUCT, 2 * 10 * 5, sizes={"m": 8, "n": 5, "k": 6, "batch": 1, "stored": 10}),
    Row("sparse.mm", (spec(8, 6), FEW), PRODUCT, 2 * 7 * 8, sizes={"m": 8, "n": 5, "k": 6, "stored": 7 * 8 // 5}),
    Row("sparse.mm", (spec(8, 6), RIGHT), PRODUCT, 2 * 8 * 6 * 5, sizes={"stored": 48}),
    Row("sparse.mm", (LEFT, FEW), PRODUCT, 2 * 10 * 5, sizes={"stored": 10}),
    Row("sparse.mm", (LEFT, spec(6, 1)), spec(8, 1), 2 * 10, sizes={"n": 1, "stored": 10}),
    Row("sparse.mv", (LEFT, spec(6)), spec(8), 2 * 10, sizes={"m": 8, "n": 1, "k": 6, "stored": 10}),
    Row("sparse.matmul", (spec(6), FEW), spec(5), 2 * 7, sizes={"m": 1, "n": 5, "k": 6}),
    Row("sparse.mm", (spec(8, 6, stored=10, dtype="complex64"), RIGHT), PRODUCT, 8 * 10 * 5),
    Row("sparse.addmm", (spec(8, 5), LEFT, RIGHT), PRODUCT, 2 * 10 * 5, sizes={"m": 8, "k": 6}),
    Row("aten._sparse_mm_reduce_impl", (LEFT, RIGHT, "sum"), PRODUCT, 2 * 10 * 5, sizes={"m": 8, "k": 6}),
    Row("aten.sparse_sampled_addmm", (spec(8, 5, stored=9), spec(8, 6), RIGHT), spec(8, 5, stored=9), 2 * 9 * 6,
        sizes={"m": 9, "n": 1, "k": 6, "batch": 1}),
    Row("aten._sparse_sparse_matmul", (LEFT, FEW), PRODUCT, 2 * (10 * 7 // 6), counted=False,
        sizes={"m": 11, "n": 1, "k": 1}),
    Row("aten._sparse_sparse_matmul", (spec(8, 1, stored=3), spec(1, 5, stored=4)), PRODUCT, 2 * 12, counted=False),
    Row("aten._sparse_softmax", (LEFT, 1), LEFT, 5 * 10),
    Row("aten._sparse_log_softmax", (LEFT, 1), LEFT, 5 * 10),
    Row("aten._sparse_softmax_backward_data", (LEFT, LEFT, 1, LEFT), LEFT, 4 * 10),
    Row("aten._sparse_log_softmax_backward_data", (LEFT, LEFT, 1, LEFT), LEFT, 4 * 10),
    *(Row(f"aten.{name}", (LEFT,), spec(6), 10)
      for name in ("_sparse_sum", "_sparse_csr_sum", "_sparse_csr_prod", "_coalesce", "coalesce")),
    *(Row(f"aten.{name}", (LEFT,), spec(8, 6), 0) for name in COPIES.split()),
    Row("sparse.add", (LEFT, spec(8, 6)), spec(8, 6), 10, read=4 * (10 + 48), written=4 * 48),
    Row("sparse.add_", (spec(8, 6), LEFT), spec(8, 6), 10, read=4 * (10 + 10), written=4 * 10),
    Row("sparse.add_", (spec(8, 6), LEFT, spec(0)), spec(8, 6), 10),
    Row("sparse.add", (spec(0), spec(0)), spec(0), 0),
)  # fmt: skip
def test_sparse_operators(row):
    row.check()


POINTS, OTHERS = spec(2, 5, 3), spec(2, 7, 3)
PAIRS = 2 * 5 * 7


@rows(
    Row("aten.cdist", (POINTS, OTHERS), spec(2, 5, 7), 2 * PAIRS * 3,
        sizes={"m": 5, "n": 7, "k": 3, "batch": 2, "vector_flops": PAIRS * (3 + 1)}),
    Row("aten._cdist_forward", (POINTS, OTHERS, 2.0, None), spec(2, 5, 7), 2 * PAIRS * 3),
    Row("aten._cdist_forward", (POINTS, OTHERS, 1.0, None), spec(2, 5, 7), 3 * PAIRS * 3),
    Row("aten.cdist", (spec(4, 1, 3), spec(4, 1, 3)), spec(4, 1, 1), 2 * 4 * 3, sizes={"batch": 4}),
    # |a|^2 and |b|^2: a multiplication and a sum for each element; then the root of each pair
    Row("aten._euclidean_dist", (POINTS, OTHERS), spec(2, 5, 7), 2 * PAIRS * 3, executed=2 * PAIRS * (3 + 2),
        sizes={"m": 5, "n": 7, "k": 3, "batch": 2, "vector_flops": 2 * (30 + 42) + PAIRS}),
    Row("aten._euclidean_dist", (spec(4, 1, 3), spec(4, 1, 3)), spec(4, 1, 1), 24, executed=40, sizes={"batch": 4}),
    Row("aten._cdist_backward", (spec(2, 5, 7), POINTS, OTHERS, 2.0, spec(2, 5, 7)), POINTS, 3 * PAIRS * 3),
    Row("aten.pdist", (spec(5, 3),), spec(10), 2 * 10 * 3, sizes={"m": 10, "n": 1, "k": 3, "vector_flops": 30 + 10}),
    Row("aten._pdist_forward", (spec(5, 3), 3.0), spec(10), 3 * 10 * 3),
    Row("aten._pdist_backward", (spec(10), spec(5, 3), 2.0, spec(10)), spec(5, 3), 4 * 10 * 3),
    Row("aten.pairwise_distance", (spec(5, 3), spec(3)), spec(5), 3 * 15),
    Row("aten.cosine_similarity", (spec(5, 3), spec(5, 3)), spec(5), 3 * 2 * 15),  # a b, a a and b b
    Row("aten.linalg_cross", (spec(5, 3), spec(5, 3)), spec(5, 3), 3 * 15),
    Row("aten.kron", (spec(2, 3), spec(5, 7)), spec(10, 21), 210),
)  # fmt: skip
def test_distances(row):
    row.check()
