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
PLACE_BACKWARD = {"flash": 11, "efficient": 11, "cudnn": 14, "fused": 13}
LONG = {"fused": "fused_attention_overrideable"}
TALL, WIDE = spec(2, 4, 3, 4), spec(2, 7, 3, 4)


def forward(name: str, place: int) -> Row:
    args = (*[QUERY] * 3, *[None] * (place - 3), True, False)
    return Row(f"aten.{name}", args, (QUERY,), 2 * 2 * EVERY * 4, executed=2 * 2 * CAUSAL * 4,
               sizes={"causal": 1, "products": 2, "vector_flops": 6 * CAUSAL})  # fmt: skip


def backward(name: str, place: int) -> Row:
    args = (*[QUERY] * 4, *[None] * (place - 4), True, False)
    whole = f"aten._scaled_dot_product_{LONG.get(name, name + '_attention')}_backward"
    return Row(whole, args, (QUERY,) * 3, 5 * 2 * EVERY * 4, executed=5 * 2 * CAUSAL * 4, sizes={"products": 5})


def efficient(kind: object, seen: int, **named: object) -> Row:
    args = (TALL, WIDE, WIDE, *[None] * 5, 0.0, *(() if kind is None else (kind,)))
    return Row("aten._efficient_attention_forward", args, (TALL,), 2 * 2 * 6 * 28 * 4, executed=2 * 2 * 6 * seen * 4,
               named=named)  # fmt: skip


@rows(
    *(forward(*each) for each in PLACE.items()),
    *(backward(*each) for each in PLACE_BACKWARD.items()),
    Row("aten._scaled_dot_product_flash_attention", (*[QUERY] * 6, 0.0, True), (QUERY,), 2 * 2 * EVERY * 4,
        executed=2 * 2 * CAUSAL * 4, overload="quantized"),  # three scales come before the settings
    # four queries over seven keys: all; from the upper left 1 + 2 + 3 + 4; from the lower right 4 + 5 + 6 + 7
    efficient(None, 28),
    efficient(0, 28),
    efficient(1, 10),
    efficient(2, 22),
    efficient(1, 1 + 2 + 3 + 3, window_size=3),
    Row("flash_attn._flash_attn_forward", (TALL, WIDE, WIDE, 0.0, 0.5, True, -1, -1), (TALL,), 2 * 2 * 6 * 28 * 4,
        executed=2 * 2 * 6 * 22 * 4),
    Row("flash_attn._flash_attn_forward", (TALL, WIDE, WIDE, 0.0, 0.5, False, 1, 0), (TALL,), 2 * 2 * 6 * 28 * 4,
        executed=2 * 2 * 6 * 8 * 4),
    Row("flash_attn._flash_attn_backward", (TALL, TALL, WIDE, WIDE, *[TALL] * 5, 0.0, 0.5, True, -1, -1), (TALL,),
        5 * 2 * 6 * 28 * 4, executed=5 * 2 * 6 * 22 * 4),
    Row("flash_attn._flash_attn_backward", (TALL, TALL, WIDE, WIDE, *[TALL] * 5, 0.0, 0.5, False, 1, 0), (TALL,),
        5 * 2 * 6 * 28 * 4, executed=5 * 2 * 6 * 8 * 4),
)  # fmt: skip
def test_masks(row):
    row.check()
