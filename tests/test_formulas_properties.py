"""What holds for all sizes."""

from __future__ import annotations

from formula_calls import cost, spec
from hypothesis import given
from hypothesis import strategies as st

from profiles.formulas import Cost
from profiles.formulas.attention_pairs import Attention

SIZE = st.integers(1, 64)
BATCHES = st.tuples(SIZE, SIZE)


def linear(batch: int) -> Cost:
    return cost("aten.linear", spec(batch, 5, 12), spec(7, 12), spec(7), out=spec(batch, 5, 7))


def convolution(batch: int) -> Cost:
    settings = (None, (1, 1), (1, 1), (1, 1), False, (0, 0), 2)
    return cost("aten.convolution", spec(batch, 4, 9, 9), spec(6, 2, 3, 3), *settings, out=spec(batch, 6, 9, 9))


def attention(batch: int) -> Cost:
    tensor = spec(batch, 4, 10, 8)
    return cost("aten._scaled_dot_product_flash_attention", tensor, tensor, tensor, 0.0, True, out=(tensor,))


def layer_norm(batch: int) -> Cost:
    x, stats = spec(batch, 10), spec(batch, 1)
    return cost("aten.native_layer_norm", x, (10,), spec(10), spec(10), 1e-5, out=(x, stats, stats))


def recurrent(batch: int) -> Cost:
    args = (spec(24, 6), spec(24, 6), spec(24), spec(24), spec(batch, 6), spec(batch, 6), False, (), 2, 6, 1, True)
    return cost("aten.mkldnn_rnn_layer", spec(5, batch, 6), *args, False, False, True, out=(spec(5, batch, 6),))


@given(batches=BATCHES)
def test_flops_add_up_over_the_batch(batches: tuple[int, int]) -> None:
    first, second = batches
    for formula in (linear, convolution, attention, layer_norm, recurrent):
        parts, whole = (formula(first), formula(second)), formula(first + second)
        assert whole.flops == sum(part.flops for part in parts)
        assert whole.executed_flops == sum(part.executed_flops for part in parts)


@given(m=SIZE, n=SIZE, k=SIZE)
def test_a_product_and_its_transpose_cost_the_same(m: int, n: int, k: int) -> None:
    one = cost("aten.mm", spec(m, k), spec(k, n), out=spec(m, n))
    other = cost("aten.mm", spec(n, k), spec(k, m), out=spec(n, m))
    assert (one.flops, one.bytes_moved) == (other.flops, other.bytes_moved)


@given(queries=SIZE, keys=SIZE, window=SIZE, lower_right=st.booleans())
def test_masks_only_take_away(queries: int, keys: int, window: int, lower_right: bool) -> None:
    full = Attention(2, queries, keys, 8, 8)
    causal = full.causal(True, lower_right)
    windowed = Attention(2, queries, keys, 8, 8, left=window, right=0, shift=causal.shift)
    assert 0 <= windowed.visible_pairs <= causal.visible_pairs <= full.visible_pairs == full.pairs


@given(groups=st.sampled_from([1, 2, 4, 8]), channels=st.sampled_from([8, 16]), size=SIZE)
def test_groups_divide_the_work(groups: int, channels: int, size: int) -> None:
    def layer(split: int) -> Cost:
        settings = (None, (1,), (0,), (1,), False, (0,), split)
        weight = spec(channels, channels // split, 1)
        return cost("aten.convolution", spec(2, channels, size), weight, *settings, out=spec(2, channels, size))

    assert layer(1).flops == groups * layer(groups).flops
