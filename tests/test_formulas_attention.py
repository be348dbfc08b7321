"""Fused attention and recurrent layers: every count written out by hand from the shapes."""

from __future__ import annotations

import math
from itertools import product

import pytest
from formula_calls import cost, record, spec

from profiles.formulas import Cost
from profiles.formulas.attention_pairs import Attention

BATCH, HEADS, QUERIES, KEYS, WIDTH = 2, 8, 32, 48, 64
PAIRS = BATCH * HEADS * QUERIES * KEYS
PRODUCT = 2 * PAIRS * WIDTH
"""FLOPs of one of the products."""

Q, K = spec(BATCH, HEADS, QUERIES, WIDTH), spec(BATCH, HEADS, KEYS, WIDTH)
LSE = spec(BATCH, HEADS, QUERIES)


def square(causal: bool, length: int = 32) -> Cost:
    tensor = spec(BATCH, HEADS, length, WIDTH)
    return cost("aten._scaled_dot_product_flash_attention", tensor, tensor, tensor, 0.0, causal, out=(tensor,))


@pytest.mark.parametrize(
    ("operator", "args"),
    [
        ("aten.scaled_dot_product_attention", (None, 0.0, False)),
        ("aten._scaled_dot_product_attention_math", (None, 0.0, False)),
        ("aten._scaled_dot_product_flash_attention", (0.0, False)),
        ("aten._scaled_dot_product_flash_attention_for_cpu", (0.0, False)),
        ("aten._scaled_dot_product_efficient_attention", (None, True, 0.0, False)),
        ("aten._scaled_dot_product_cudnn_attention", (None, True, 0.0, False)),
        ("aten._scaled_dot_product_fused_attention_overrideable", (None, 0.0, False)),
    ],
)
def test_forward_is_two_products(operator: str, args: tuple[object, ...]) -> None:
    found = cost(operator, Q, K, K, *args, out=(Q, LSE))
    assert found.flops == found.model_flops == found.executed_flops == 2 * PRODUCT
    assert found.family == "attention" and found.engine == "matrix" and found.counted
    assert found.bytes_read == 4 * BATCH * HEADS * (QUERIES + 2 * KEYS) * WIDTH
    assert found.bytes_written == 4 * BATCH * HEADS * QUERIES * (WIDTH + 1)
    sizes = dict(found.dims)
    assert (sizes["m"], sizes["n"], sizes["k"], sizes["batch"]) == (QUERIES, KEYS, WIDTH, BATCH * HEADS)
    assert sizes["causal"] == 0


CUMULATIVE, SEED = spec(0, dtype="int32"), spec(dtype="int64")
MASK = (True, True, True, False)


@pytest.mark.parametrize(
    ("operator", "args"),
    [
        ("flash_attention", (Q, LSE, CUMULATIVE, CUMULATIVE, QUERIES, KEYS, 0.0, False, SEED, SEED)),
        ("flash_attention_for_cpu", (Q, LSE, 0.0, False)),
        ("efficient_attention", (None, Q, LSE, SEED, SEED, 0.0, MASK, False)),
        ("cudnn_attention", (Q, LSE, SEED, SEED, None, CUMULATIVE, CUMULATIVE, QUERIES, KEYS, 0.0, False)),
        (
            "fused_attention_overrideable",
            (None, MASK, Q, LSE, CUMULATIVE, CUMULATIVE, QUERIES, KEYS, 0.0, False, SEED, SEED),
        ),
    ],
)
def test_backward_is_five_products_of_which_the_model_asks_for_four(operator: str, args: tuple[object, ...]) -> None:
    found = cost(f"aten._scaled_dot_product_{operator}_backward", Q, Q, K, K, *args, out=(Q, K, K))
    assert found.flops == found.executed_flops == 5 * PRODUCT
    assert found.model_flops == 4 * PRODUCT


def test_causal_attention_is_counted_in_full_and_executed_by_its_lower_triangle() -> None:
    full, causal = square(False), square(True)
    assert causal.flops == full.flops == full.executed_flops
    assert causal.executed_flops == 2 * 2 * BATCH * HEADS * (32 * 33 // 2) * WIDTH
    assert dict(causal.dims)["causal"] == 1


def test_grouped_queries_multiply_every_query_head() -> None:
    key = spec(BATCH, 2, QUERIES, WIDTH)
    query = spec(BATCH, 8, QUERIES, WIDTH)
    found = cost("aten._scaled_dot_product_flash_attention", query, key, key, 0.0, False, out=(query,))
    assert found.flops == 2 * 2 * (BATCH * 8 * QUERIES * QUERIES) * WIDTH
    assert found.bytes_read == 4 * BATCH * (8 + 2 * 2) * QUERIES * WIDTH


def test_values_may_be_narrower_than_keys() -> None:
    value = spec(BATCH, HEADS, KEYS, 16)
    out = spec(BATCH, HEADS, QUERIES, 16)
    assert cost("aten.scaled_dot_product_attention", Q, K, value, out=out).flops == 2 * PAIRS * (WIDTH + 16)
    args = (out, Q, K, value, out, LSE, 0.0, False)
    found = cost("aten._scaled_dot_product_flash_attention_for_cpu_backward", *args, out=(Q, K, value))
    assert found.flops == 2 * PAIRS * (3 * WIDTH + 2 * 16)


def test_a_mask_that_is_shared_is_read_once() -> None:
    mask = spec(BATCH, HEADS, QUERIES, KEYS, stored=QUERIES * KEYS)
    found = cost("aten._scaled_dot_product_efficient_attention", Q, K, K, mask, True, out=(Q, LSE))
    assert found.bytes_read == 4 * (BATCH * HEADS * (QUERIES + 2 * KEYS) * WIDTH + QUERIES * KEYS)


def seen(queries: int, keys: int, left: int | None, right: int | None, shift: int) -> int:
    """Pairs that a mask lets through, one by one."""
    return sum(
        (right is None or j - shift <= i + right) and (left is None or j - shift >= i - left)
        for i, j in product(range(queries), range(keys))
    )


@pytest.mark.parametrize(("queries", "keys"), [(1, 1), (5, 5), (3, 9), (9, 3), (1, 7)])
@pytest.mark.parametrize("left", [None, 0, 2, 100])
@pytest.mark.parametrize("right", [None, 0, 3])
@pytest.mark.parametrize("lower_right", [False, True])
def test_visible_pairs_against_counting_them(
    queries: int, keys: int, left: int | None, right: int | None, lower_right: bool
) -> None:
    shift = keys - queries if lower_right else 0
    attention = Attention(3, queries, keys, 8, 8, left, right, shift)
    assert attention.visible_pairs == 3 * seen(queries, keys, left, right, shift)


def test_sequences_first() -> None:
    query, key = spec(2, 32, 8, 64), spec(2, 48, 2, 64)
    args = (query, key, key, None, None, 32, 48, 0.0, True, False)
    found = cost("aten._flash_attention_forward", *args, out=(query,))
    assert found.flops == 2 * 2 * (2 * 8 * 32 * 48) * 64
    assert found.executed_flops == 2 * 2 * 2 * 8 * seen(32, 48, None, 0, 16) * 64  # aligned to the lower right
    windowed = cost("aten._flash_attention_forward", *args, window_size_left=4, window_size_right=0, out=(query,))
    assert windowed.executed_flops == 2 * 2 * 2 * 8 * seen(32, 48, 4, 0, 16) * 64


def test_packed_sequences_of_one_length_are_exact_and_others_an_estimate() -> None:
    query, offsets = spec(6 * 50, 8, 64), spec(7, dtype="int32")
    for longest, certain in ((50, True), (80, False)):
        args = (query, query, query, offsets, offsets, longest, longest, 0.0, False, False)
        found = cost("aten._flash_attention_forward", *args, out=(query,))
        assert found.flops == 2 * 2 * (6 * 8 * 50 * 50) * 64
        assert found.counted is certain


@pytest.mark.parametrize(
    ("operator", "before", "after"),
    [
        ("torch_attn._varlen_attn", (), (50, 50, True, None, (9, 0))),
        ("torch_attn._varlen_attn_out", ("out",), (50, 50, True, None, (9, 0))),
        ("flash_attn._flash_attn_varlen_forward", (), (50, 50, 0.0, 0.125, True, 9, 0)),
    ],
)
def test_windows_of_packed_sequences(operator: str, before: tuple[object, ...], after: tuple[object, ...]) -> None:
    query, offsets = spec(6 * 50, 8, 64), spec(7, dtype="int32")
    found = cost(operator, *before, query, query, query, offsets, offsets, *after, out=(query,))
    assert found.counted and found.flops == 2 * 2 * (6 * 8 * 50 * 50) * 64
    assert found.executed_flops == 2 * 2 * 6 * 8 * seen(50, 50, 9, 0, 0) * 64


def test_flex_attention_executes_what_its_block_mask_leaves() -> None:
    pairs = 2 * 8 * 3 * 128 * 128
    found = cost("flopcast.flex_attention", Q, K, K, pairs, out=(Q, LSE))
    assert found.flops == found.model_flops == 2 * PRODUCT
    assert found.executed_flops == found.flops * pairs // (math.prod(Q.shape[:-1]) * K.shape[-2])
    found = cost("flopcast.flex_attention_backward", Q, K, K, Q, LSE, Q, pairs, out=(Q, K, K))
    assert (found.flops, found.model_flops) == (5 * PRODUCT, 4 * PRODUCT)


def test_memory_efficient_attention_by_mask_type() -> None:
    query = spec(2, 32, 8, 64)
    for kind, pairs in ((0, 32 * 32), (1, 32 * 33 // 2), (2, 32 * 33 // 2)):
        args = (query, query, query, None, None, None, None, None, 0.0, kind)
        found = cost("aten._efficient_attention_forward", *args, out=(query,))
        assert found.executed_flops == 2 * 2 * 2 * 8 * pairs * 64


def test_attention_layer_of_inference() -> None:
    batch, length, width, heads = 4, 32, 64, 8
    x = spec(batch, length, width)
    args = (x, x, x, width, heads, spec(3 * width, width), spec(3 * width), spec(width, width), spec(width))
    found = cost("aten._native_multi_head_attention", *args, out=x)
    rows = batch * length
    assert found.flops == 2 * rows * width * 4 * width + 2 * 2 * batch * heads * length * length * (width // heads)


def test_encoder_layer_of_inference() -> None:
    torch = pytest.importorskip("torch")
    batch, length, width, inner = 2, 16, 64, 256
    layer = torch.nn.TransformerEncoderLayer(width, 8, inner, batch_first=True).eval()
    x = torch.randn(batch, length, width)
    with torch.no_grad():
        recorded = record(lambda: layer(x))
    rows = batch * length
    assert recorded.of("aten._transformer_encoder_layer_fwd")
    assert recorded.matrix_flops == 2 * rows * width * (4 * width + 2 * inner) + 2 * 2 * batch * length**2 * width
