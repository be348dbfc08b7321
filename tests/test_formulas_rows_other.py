"""Quantised and packed layers, gathering, random numbers, reductions, other packages: costs worked out by hand."""

from __future__ import annotations

import re

import pytest
from formula_calls import cost, spec
from formula_rows import Row, rows

from profiles.formulas.traffic import DTYPE_BITS, tensor_bytes

X, ROW, N = spec(6, 10), spec(10), 60
TOKENS, RESULT = spec(2, 5, 6), spec(2, 5, 7)
LINEAR = 2 * 10 * 7 * 6
BYTES = {
    "linear": 1, "linear_relu": 1, "linear_leaky_relu": 1, "linear_tanh": 1, "linear_dynamic": 1,
    "linear_relu_dynamic": 1, "linear_dynamic_fp16": 2, "linear_relu_dynamic_fp16": 2,
    "linear_with_input_q_dq_qweight_dq_output_fp32": 1, "linear_with_input_q_dq_qweight_dq_relu_output_fp32": 1,
}  # fmt: skip
PER_ELEMENT = {
    "quantize_per_tensor_dynamic": 2 + 5,
    "fake_quantize_per_tensor_affine_cachemask": 5 + 2 + 1,
    "fake_quantize_per_channel_affine_cachemask": 5 + 2 + 1,
    "_fake_quantize_per_tensor_affine_cachemask_tensor_qparams": 5 + 2 + 1,
    "_fake_quantize_learnable_per_tensor_affine_backward": 5 + 1 + 2 + 1 + 1,
    "_fake_quantize_learnable_per_channel_affine_backward": 5 + 1 + 2 + 1 + 1,
    "fused_moving_avg_obs_fake_quant": 2 + 5 + 2 + 1,
    "_fused_moving_avg_obs_fq_helper": 2 + 5 + 2 + 1,
    "_fused_moving_avg_obs_fq_helper_functional": 2 + 5 + 2 + 1,
}
"""Quantise 5, dequantise 2, mask 1, extremes 2; learnable: quantise 5, the gradient within the bounds 1, that of
the scale 2 and its sum, the sum for the zero point."""


@rows(
    *(Row(f"quantized.{name}", (TOKENS, (), 1.0, 0), RESULT, LINEAR, read=4 * 60 + 42 * size, written=4 * 70,
          sizes={"m": 10, "n": 7, "k": 6}) for name, size in BYTES.items()),
    Row("quantized.conv2d", (spec(2, 6, 7, 7), (spec(8, 3, 3, 3), spec(8)), 1.0, 0), spec(2, 8, 5, 5),
        2 * 400 * 27, sizes={"m": 50, "n": 4, "k": 27, "batch": 2}),
    Row("quantized.conv1d", (spec(6, 7), (spec(12, 1, 3), spec(12)), 1.0, 0), spec(12, 5), 2 * 60 * 3,
        sizes={"batch": 6}),
    Row("quantized.conv_transpose2d", (spec(2, 8, 5, 5), (spec(8, 3, 3, 3), spec(8)), 1.0, 0), spec(2, 6, 7, 7),
        2 * 400 * 27, sizes={"batch": 2, "n": 4}),
    Row("quantized.matmul", (spec(3, 5, 6), spec(3, 6, 7)), spec(3, 5, 7), 2 * 3 * 5 * 6 * 7,
        sizes={"m": 5, "n": 7, "k": 6, "batch": 3}),
    Row("quantized.matmul", (spec(3, 1, 6), spec(3, 6, 1)), spec(3, 1, 1), 2 * 3 * 6, sizes={"batch": 3}),
    Row("mkldnn._linear_pointwise", (TOKENS, spec(7, 6)), RESULT, LINEAR, sizes={"m": 10, "n": 7, "vector_flops": 70}),
    *(Row(f"aten.{name}", (X,), X, flops * N) for name, flops in PER_ELEMENT.items()),
    *(Row(f"quantized.{name}", (X, X), X, 0) for name in ("cat", "dropout")),
    *(Row(f"bitsandbytes.{name}", (TOKENS, spec(21)), RESULT, LINEAR, sizes={"m": 10, "n": 7, "k": 6})
      for name in ("int8_linear_matmul", "int8_scaled_mm", "gemv_4bit")),
    *(Row(f"bitsandbytes.{name}", (spec(30), spec(2)), X, flops * N)
      for name, flops in {"dequantize_4bit": 1, "dequantize_blockwise": 1, "int8_mm_dequant": 2, "quantize_4bit": 3,
                          "quantize_blockwise": 3, "int8_vectorwise_quant": 3}.items()),
)  # fmt: skip
def test_quantised_operators(row):
    row.check()


BOXES, REGIONS = spec(11, 4), spec(3, 5)
MAP, BINS = spec(1, 4, 90, 90), spec(3, 4, 7, 7)
SAMPLE = 4 + 3 + 1
"""Four taps multiplied and added up, and the sample added to its bin."""


@rows(
    Row("torchvision.deform_conv2d", (spec(2, 4, 7, 7), spec(6, 4, 3, 3), spec(2, 18, 5, 5)), spec(2, 6, 5, 5),
        2 * 50 * 6 * 36, sizes={"m": 50, "n": 6, "k": 36, "products": 0, "vector_flops": 50 * 36 * 7}),
    Row("torchvision.deform_conv2d", (spec(2, 4, 7, 7), spec(1, 4, 3, 3), spec(2, 18, 5, 5)), spec(2, 1, 5, 5),
        2 * 50 * 36),
    Row("torchvision._deform_conv2d_backward",
        (spec(2, 6, 5, 5), spec(2, 4, 7, 7), spec(6, 4, 3, 3), spec(2, 18, 5, 5)), (spec(2, 4, 7, 7),),
        2 * 2 * 50 * 6 * 36, sizes={"m": 50, "products": 2}),
    Row("torchvision.nms", (BOXES, spec(11), 0.5), spec(4, dtype="int64"), 12 * 55),
    Row("torchvision.roi_align", (MAP, REGIONS, 1.0, 7, 7, 3, False), BINS, 588 * 9 * SAMPLE,
        read=4 * 4 * 9 * 588 + 4 * 15, written=4 * 588),
    Row("torchvision.roi_align", (MAP, REGIONS, 1.0, 7, 7, 0, False), BINS, 588 * 4 * SAMPLE,
        read=4 * 4 * 4 * 588 + 4 * 15),
    Row("torchvision.roi_align", (spec(1, 4, 9, 9), REGIONS, 1.0, 7, 7, 1, False), BINS, 588 * SAMPLE,
        read=4 * 324 + 4 * 15),
    Row("torchvision._roi_align_backward", (BINS, REGIONS), MAP, 588 * 4 * 4 * 2),
    Row("torchvision.roi_pool", (MAP, REGIONS), BINS, 588),
    Row("_c10d_functional.all_reduce", (X, "sum", "0"), X, N, read=240, written=240),
    Row("_c10d_functional.all_reduce_coalesced", ((X, ROW), "sum", "0"), (X, ROW), N + 10),
    Row("_c10d_functional.all_gather_into_tensor", (X, 2, "0"), spec(12, 10), 0, read=240, written=480),
    Row("_c10d_functional.wait_tensor", (X,), X, 0, read=0, written=0),
    Row("prims.var", (X, (1,)), spec(6), (1 + 1 + 1 + 1) * N),
    Row("prims.sum", (X, (1,)), spec(6), N),
    Row("prims.erfcx", (X,), X, N),
    Row("prims.iota", (60,), spec(60, dtype="int64"), 0, read=0, written=480),
)  # fmt: skip
def test_packages_beside_torch(row):
    row.check()


INDEX, TABLE = spec(2, 4, dtype="int64"), spec(50, 3)
DRAWN = {
    "bernoulli": 1 + 1, "poisson": 1, "binomial": 1, "_standard_gamma": 1, "_standard_gamma_grad": 1,
    "_sample_dirichlet": 1, "_dirichlet_grad": 1, "native_dropout": 1 + 1 + 1 + 1, "_fused_dropout": 1 + 1 + 1 + 1,
    "native_dropout_backward": 1 + 1, "dropout": 1 + 1 + 1 + 1, "feature_dropout": 1 + 1,
    "alpha_dropout": 1 + 1 + 1 + 1 + 1, "feature_alpha_dropout": 1 + 1 + 1,
}  # fmt: skip


@rows(
    *(Row(f"aten.{name}", (X, 0.5, True), (X, spec(6, 10, dtype="bool")), flops * N) for name, flops in DRAWN.items()),
    Row("aten.multinomial", (spec(3, 7), 4), spec(3, 4, dtype="int64"), 2 * 21 + 12),
    Row("aten.take", (X, spec(4, dtype="int64")), spec(4), 0, read=4 * 4 + 8 * 4, written=16),
    Row("aten._unsafe_masked_index_put_accumulate", (X, spec(6, dtype="bool"), (spec(6, dtype="int64"),), spec(6, 10)),
        X, 60, read=240 + 6 + 48 + 240, written=240),
    Row("aten.index_put_", (spec(5, 6, 7), (None, spec(4, dtype="int64")), spec(5, 4, 7)), spec(5, 6, 7), 0,
        read=4 * 140 + 32, written=4 * 140),
    Row("aten.index_put_", (spec(5, 6, 7), (spec(5, dtype="bool"),), spec(2, 6, 7), True), spec(5, 6, 7), 84,
        read=2 * 4 * 84 + 5, written=4 * 84),
    Row("aten.index_put_", (spec(5, 6, 7), (None,), spec()), spec(5, 6, 7), 0, read=4, written=4 * 210),
    Row("aten.scatter_", (X, 1, INDEX, 1.0), X, 0, read=64, written=32, overload="value"),
    Row("aten.scatter_", (X, 1, INDEX, spec(2, 4)), X, 8, read=64 + 32 + 32, written=32, overload="reduce"),
    Row("aten.index_add_", (X, 0, spec(4, dtype="int64"), spec(4, 10)), X, 40, read=160 + 32 + 160, written=160),
    Row("aten.index_copy_", (X, 0, spec(4, dtype="int64"), spec(4, 10)), X, 0, read=32 + 160, written=160),
    Row("aten.index_fill_", (X, 1, spec(4, dtype="int64"), 0.0), X, 0, read=32, written=4 * 4 * 6),
    Row("aten.index_fill_", (spec(5, 1), 1, spec(1, dtype="int64"), 0.0), spec(5, 1), 0, read=8, written=20),
    Row("aten.index_fill_", (spec(), 0, spec(1, dtype="int64"), 0.0), spec(), 0, read=8, written=4),
    Row("aten.put_", (X, spec(4, dtype="int64"), spec(4), False), X, 0, read=16 + 32, written=16),
    Row("aten.put_", (X, spec(4, dtype="int64"), spec(4), True), X, 4, read=2 * 16 + 32, written=16),
    Row("aten.unfold_backward", (spec(5, 4), (8,), 0, 4, 1), spec(8), 20),
    Row("aten.embedding_backward", (spec(2, 4, 3), INDEX), TABLE, 24),
    Row("aten._embedding_bag", (TABLE, spec(8, dtype="int64"), spec(2, dtype="int64"), False, 0, False, spec(8)),
        (spec(2, 3),), 2 * 24, read=4 * 24 + 64 + 16 + 32),
    Row("aten._embedding_bag_dense_backward", (spec(2, 3), spec(8, dtype="int64")), TABLE, 24),
    Row("aten._embedding_bag_per_sample_weights_backward", (spec(2, 3), TABLE, spec(8, dtype="int64")), spec(8),
        2 * 24),
    Row("aten.embedding_renorm_", (TABLE, INDEX, 1.0, 2.0), TABLE, 3 * 24, read=4 * 24 + 64, written=4 * 24),
)  # fmt: skip
def test_drawing_and_picking(row):
    row.check()


Z = spec(6, 10, dtype="complex64")


@rows(
    *(Row(f"aten.{name}", (X, (1,)), (spec(6), spec(6)), 4 * N + outputs * 6)
      for name, outputs in {"var": 1, "std": 1 + 1, "var_mean": 1, "std_mean": 1 + 1, "logsumexp": 1 + 1,
                            "special_logsumexp": 0}.items()),
    Row("aten.nanmean", (X, (1,)), spec(6), N + 6),
    Row("aten.norm", (X,), spec(), 2 * N + 1),
    Row("aten.aminmax", (X,), (spec(), spec()), 2 * N),
    Row("aten.dist", (X, X), spec(), 3 * N),
    Row("aten.sum", (Z,), spec(dtype="complex64"), 2 * N),
    Row("aten.sigmoid", (Z,), Z, 2 * 4 * N),  # each of its four operations on both parts
    Row("aten.mean", (X,), (), N),
    Row("aten._masked_softmax", (X, spec(6, 10, dtype="bool"), 1), X, 6 * N),
    Row("aten._masked_softmax_backward", (X, X, spec(6, 10, dtype="bool")), X, 5 * N),
    *(Row(f"aten.{name}", (X, 1), X, 5 * N)
      for name in ("softmax", "special_softmax", "_safe_softmax", "log_softmax", "special_log_softmax")),
    Row("aten.searchsorted", (spec(10), spec(7)), spec(7, dtype="int64"), 7 * 4),  # ten places have four bits
    Row("aten.searchsorted", (spec(3, 10), spec(3, 7)), spec(3, 7, dtype="int64"), 21 * 4),
    Row("aten.bucketize", (spec(7), spec(100)), spec(7, dtype="int64"), 7 * 7),
    Row("aten.bucketize", (spec(7), spec()), spec(7, dtype="int64"), 7),
    Row("aten.cumprod_backward", (X, X, 1, X), X, N),
    Row("aten.hardshrink", (X,), X, N),
    *(Row(f"aten.{name}", (X, X, 0.5), X, N)
      for name in ("hardshrink_backward", "softshrink_backward", "threshold_backward", "threshold")),
    *(Row(f"aten.{name}", (X,), X, flops * N)
      for name, flops in {"xlogy": 2, "special_xlog1py": 2, "sinc": 2, "special_entr": 2, "nan_to_num": 2,
                          "logaddexp": 5, "logaddexp2": 5, "special_expit": 4, "special_logit": 3}.items()),
    Row("aten.sub", (X, X), X, 2 * N, named={"alpha": 3}),
    Row("aten.addcmul", (X, X, X), X, 3 * N, named={"value": 2}),
    Row("aten.clamp", (X, None, 1.0), X, N),
    Row("aten.clamp", (X,), X, 2 * N, named={"min": 0, "max": 1}),
)  # fmt: skip
def test_reductions_and_elements(row):
    row.check()


QUERY, KEY, VALUE = spec(12, 3, 4), spec(21, 3, 4), spec(21, 3, 5)
"""Three sequences: 4 tokens over 7 keys each, three heads of 4 and values of 5."""
OFFSETS = spec(4, dtype="int32")
PAIRS = 3 * 3 * 4 * 7
FORWARD, BACKWARD = 2 * PAIRS * (4 + 5), 2 * PAIRS * (3 * 4 + 2 * 5)
PACKED = {
    "aten._flash_attention_forward": ((QUERY, KEY, VALUE, OFFSETS, OFFSETS, 4, 7, 0.0, False, False), FORWARD),
    "aten._flash_attention_backward": (
        (X, QUERY, KEY, VALUE, QUERY, X, OFFSETS, OFFSETS, 4, 7, 0.0, False, X, X), BACKWARD),
    "torch_attn._varlen_attn": ((QUERY, KEY, VALUE, OFFSETS, OFFSETS, 4, 7, False), FORWARD),
    "torch_attn._varlen_attn_backward": (
        (X, QUERY, KEY, VALUE, QUERY, X, OFFSETS, OFFSETS, 4, 7, False, X), BACKWARD),
    "flash_attn._flash_attn_varlen_forward": (
        (QUERY, KEY, VALUE, OFFSETS, OFFSETS, 4, 7, 0.0, 0.5, False, -1, -1), FORWARD),
    "flash_attn._flash_attn_varlen_backward": (
        (X, QUERY, KEY, VALUE, X, X, X, X, X, OFFSETS, OFFSETS, 4, 7, 0.0, 0.5, False, -1, -1), BACKWARD),
    "aten._efficient_attention_forward": ((QUERY, KEY, VALUE, None, OFFSETS, OFFSETS, 4, 7, 0.0, 0), FORWARD),
    "aten._efficient_attention_backward": (
        (X, QUERY, KEY, VALUE, None, X, OFFSETS, OFFSETS, 4, 7, X, 0.0, X, X, 0), BACKWARD),
    "aten._cudnn_attention_forward": ((QUERY, KEY, VALUE, None, OFFSETS, OFFSETS, 4, 7, True, 0.0, False), FORWARD),
    "aten._cudnn_attention_backward": (
        (X, QUERY, KEY, VALUE, X, X, X, X, X, OFFSETS, OFFSETS, 4, 7, 0.0, False), BACKWARD),
}  # fmt: skip


@pytest.mark.parametrize("name", PACKED)
def test_packed_sequences(name):
    args, flops = PACKED[name]
    found = cost(name, *args, out=(QUERY,))
    assert found.counted and found.flops == found.executed_flops == flops
    assert {"m": 4, "n": 7, "k": 4, "batch": 9, "value_dim": 5}.items() <= dict(found.dims).items()


def test_bits_of_every_dtype():
    named = {name: re.fullmatch(r"(?:u?int|bfloat|float|complex)(\d+)", name) for name in DTYPE_BITS}
    said = {name: int(match[1]) for name, match in named.items() if match}
    assert len(said) > 20 and said == {name: DTYPE_BITS[name] for name in said}
    assert tensor_bytes(spec(9, dtype="bits1x8")) == 2 and tensor_bytes(spec(5, dtype="bits2x4")) == 2
    assert tensor_bytes(spec(3, dtype="bits4x2")) == 2 and tensor_bytes(spec(3, dtype="bits16")) == 6
