"""Attention kernels under causal masks and windows: the pairs that are seen, counted by hand."""

from __future__ import annotations

from formula_calls import spec
from formula_rows import Row, rows

QUERY = spec(2, 3, 6, 4)
EVERY, CAUSAL = 2 * 3 * 6 * 6, 2 * 3 * (1 + 2 + 3 + 4 + 5 + 6)
PLACE = {
    "scaled_dot_product_attention": 5,
    "_scaled_dot_product_attention_math": 5,
    "_scaled_dot_product_attention_math_for_mps": 5,
    "_scaled_dot_product_flash_attention": 4,
    "_scaled_dot_product_flash_attention_for_cpu": 4,
    "_scaled_dot_product_efficient_attention": 6,
    "_scaled_dot_product_cudnn_attention": 6,
    "_scaled_dot_product_fused_attention_overrideable": 5,
}
"""Where is_causal stands in torch's schemas (native_functions.yaml)."""
PLACE_BACKWARD = {"flash": 11, "efficient": 11, "cudnn": 14, "fused": 13, "cpu": 7}
LONG = {"fused": "fused_attention_overrideable", "cpu": "flash_attention_for_cpu"}
TALL, WIDE = spec(2, 4, 3, 4), spec(2, 7, 3, 4)


def forward(name: str, place: int) -> Row:
    args = (*[QUERY] * 3, *[None] * (place - 3), True, False)
    return Row(f"aten.{name}", args, (QUERY,), 2 * 2 * EVERY * 4, executed=2 * 2 * CAUSAL * 4,
               sizes={"causal": 1, "products": 2, "vector_flops": 6 * CAUSAL})  # fmt: skip


def backward(name: str, place: int) -> Row:
    args = (*[QUERY] * 4, *[None] * (place - 4), True, False)
    whole = f"aten._scaled_dot_product_{LONG.get(name, name + '_attention')}_backward"
    return Row(whole, args, (QUERY,) * 3, 5 * 2 * EVERY * 4, executed=5 * 2 * CAUSAL * 4, model=4 * 2 * EVERY * 4,
               sizes={"products": 5})  # fmt: skip


def efficient(kind: object, seen: int, **named: object) -> Row:
    args = (TALL, WIDE, WIDE, *[None] * 5, 0.0, *(() if kind is None else (kind,)))
    return Row("aten._efficient_attention_forward", args, (TALL,), 2 * 2 * 6 * 28 * 4, executed=2 * 2 * 6 * seen * 4,
               named=named)  # fmt: skip


@rows(
    *(forward(*each) for each in PLACE.items()),
    *(backward(*each) for each in PLACE_BACKWARD.items()),
    Row("aten._scaled_dot_product_flash_attention", (*[QUERY] * 6, 0.0, True), (QUERY,), 2 * 2 * EVERY * 4,
        executed=2 * 2 * CAUSAL * 4, overload="quantized"),  # three scales come before the settings
    Row("aten._scaled_dot_product_flash_attention", (*[QUERY] * 6, 0.0, False), (QUERY,), 2 * 2 * EVERY * 4,
        overload="quantized"),
    # a block mask that leaves 50 of the 216 pairs, and one pair alone
    Row("flopcast.flex_attention", (QUERY, QUERY, QUERY, 50), (QUERY,), 2 * 2 * EVERY * 4, executed=2 * 2 * 50 * 4,
        sizes={"vector_flops": 6 * 50}),
    Row("flopcast.flex_attention", (*[spec(1, 1, 1, 4)] * 3, 1), (spec(1, 1, 1, 4),), 2 * 2 * 4),
    # four queries over seven keys: all; from the upper left 1 + 2 + 3 + 4; from the lower right 4 + 5 + 6 + 7
    efficient(None, 28),
    efficient(0, 28),
    efficient(1, 10),
    efficient(2, 22),
    efficient(1, 1 + 2 + 3 + 3, window_size=3),
    efficient(0, 7 + 7 + 7 + 6, window_size=3),
    efficient(1, 4, window_size=1),
    Row("aten._cudnn_attention_forward", (*[QUERY] * 3, None, None, None, 6, 6, True, 0.0, True), (QUERY,),
        2 * 2 * EVERY * 4, executed=2 * 2 * CAUSAL * 4, sizes={"m": 6, "batch": 6}),
    Row("aten._cudnn_attention_backward", (*[QUERY] * 9, None, None, 6, 6, 0.0, False), (QUERY,), 5 * 2 * EVERY * 4,
        model=4 * 2 * EVERY * 4, sizes={"m": 6, "batch": 6}),
    Row("flash_attn._flash_attn_forward", (TALL, WIDE, WIDE, 0.0, 0.5, True, -1, -1), (TALL,), 2 * 2 * 6 * 28 * 4,
        executed=2 * 2 * 6 * 22 * 4),
    Row("flash_attn._flash_attn_forward", (TALL, WIDE, WIDE, 0.0, 0.5, False, 1, 0), (TALL,), 2 * 2 * 6 * 28 * 4,
        executed=2 * 2 * 6 * 8 * 4),
    Row("flash_attn._flash_attn_forward", (TALL, WIDE, WIDE, 0.0, 0.5, False, -1, -1), (TALL,), 2 * 2 * 6 * 28 * 4),
    Row("flash_attn._flash_attn_backward", (TALL, TALL, WIDE, WIDE, *[TALL] * 5, 0.0, 0.5, False, -1, -1), (TALL,),
        5 * 2 * 6 * 28 * 4, model=4 * 2 * 6 * 28 * 4),
    Row("flash_attn._flash_attn_backward", (TALL, TALL, WIDE, WIDE, *[TALL] * 5, 0.0, 0.5, True, -1, -1), (TALL,),
        5 * 2 * 6 * 28 * 4, model=4 * 2 * 6 * 28 * 4, executed=5 * 2 * 6 * 22 * 4),
    Row("flash_attn._flash_attn_backward", (TALL, TALL, WIDE, WIDE, *[TALL] * 5, 0.0, 0.5, False, 1, 0), (TALL,),
        5 * 2 * 6 * 28 * 4, model=4 * 2 * 6 * 28 * 4, executed=5 * 2 * 6 * 8 * 4),
)  # fmt: skip
def test_masks(row):
    row.check()


X, OFFSETS = spec(9), spec(4, dtype="int32")
Q, K = spec(12, 3, 4), spec(21, 3, 4)
"""Three sequences of 4 tokens over 7 keys each, three heads of 4."""
LENGTHS = (OFFSETS, OFFSETS, 4, 7)
SEEN = {"none": 28, "causal": 4 + 5 + 6 + 7, "window": 4 + 4 + 4 + 3}
"""Pairs by mask, all aligned to the lower right; the window reaches two back and one ahead."""
VARLEN = {"none": (False, None, (-1, -1)), "causal": (True, None, (-1, -1)), "window": (False, None, (2, 1))}
VARLEN_BACK = {mask: (flag, X, None, limits) for mask, (flag, _, limits) in VARLEN.items()}
FLASH = {"none": (0.0, 0.5, False, -1, -1), "causal": (0.0, 0.5, True, -1, -1), "window": (0.0, 0.5, False, 2, 1)}
ATEN = {"none": (0.0, False), "causal": (0.0, True)}


def packed(name: str, before: tuple[object, ...], masks: dict[str, tuple[object, ...]], alone: int = 0) -> list[Row]:
    """Sequences of one length in one list, so that the count is exact; `alone`: pairs where all masks see as many."""
    products, asked = (5, 4) if name.endswith("backward") else (2, 2)
    full = 2 * products * (3 * 3) * 4
    return [
        Row(name, (*before, *LENGTHS, *mask), (Q,), full * 28, executed=full * (alone or SEEN[kind]),
            model=2 * asked * (3 * 3) * 4 * 28, sizes={"m": 4, "n": 7, "batch": 3 * 3})
        for kind, mask in masks.items()
    ]  # fmt: skip


@rows(
    *packed("torch_attn._varlen_attn", (Q, K, K), VARLEN),
    *packed("torch_attn._varlen_attn_out", (Q, Q, K, K), VARLEN),
    *packed("torch_attn._varlen_attn_backward", (X, Q, K, K, Q, X), VARLEN_BACK),
    *packed("flash_attn._flash_attn_varlen_forward", (Q, K, K), FLASH),
    *packed("flash_attn._flash_attn_varlen_backward", (X, Q, K, K, *[X] * 5), FLASH),
    *packed("aten._flash_attention_forward", (Q, K, K), ATEN),
    *packed("aten._flash_attention_forward_no_dropout_inplace", (Q, Q, K, K), ATEN),
    *packed("aten._flash_attention_backward", (X, Q, K, K, Q, X), ATEN),
    # one sequence alone, and nested tensors, which torch packs behind a batch of one
    Row("aten._flash_attention_forward", (spec(4, 3, 4), *[spec(7, 3, 4)] * 2, *[spec(2, dtype="int32")] * 2, 4, 7, 0.0,
        False), (Q,), 2 * 2 * 3 * 28 * 4, sizes={"batch": 3}),
    *(Row("aten._efficient_attention_forward",
          (spec(1, 12, 3, 4), *[spec(1, 21, 3, 4)] * 2, None, *LENGTHS[:2], *longest, 0.0, 0), (Q,),
          2 * 2 * (3 * 3) * 28 * 4, sizes={"m": 4, "n": 7, "batch": 3 * 3}, counted=longest == (4, 7))
      for longest in ((4, 7), (9, 9))),
    # upper left: 1 + 2 + 3 + 4
    *packed("aten._efficient_attention_forward", (Q, K, K, None), {"left": (0.0, 1)}, 10),
    *packed("aten._efficient_attention_forward", (Q, K, K, None), {"causal": (0.0, 2)}),
    *packed("aten._efficient_attention_backward", (X, Q, K, K, None, X), {"left": (X, 0.0, X, X, 1)}, 10),
    *packed("aten._efficient_attention_backward", (X, Q, K, K, None, X), {"causal": (X, 0.0, X, X, 2)}),
    *packed("aten._cudnn_attention_forward", (Q, K, K, None), {"left": (True, 0.0, True)}, 10),
    *packed("aten._cudnn_attention_backward", (X, Q, K, K, *[X] * 5), {"left": (0.0, True)}, 10),
)  # fmt: skip
def test_masks_of_packed_sequences(row):
    row.check()
