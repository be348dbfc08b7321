"""How much an attention kernel multiplies: the pairs of queries and keys, all of them and those a mask lets through."""

from __future__ import annotations

from dataclasses import dataclass, replace

from profiles.formulas.call import Call, Cost
from profiles.formulas.costs import vector_cost

VECTOR_FLOPS_PER_PAIR = 6
"""Scale, maximum, subtract, exponential, sum, divide (forward); scale, subtract, exponential, subtract, multiply, scale
(backward). Dropout inside the kernel is not counted."""


@dataclass(frozen=True, slots=True)
class Attention:
    """`batch` (sequences x query heads) attentions of `queries` rows over `keys` columns.

    Query i sees the keys j with i - left <= j - shift <= i + right; None is no limit. A causal mask is right = 0;
    `shift` is 0 where it is aligned to the upper left corner, keys - queries where it is aligned to the lower right.
    """

    batch: int
    queries: int
    keys: int
    key_dim: int
    value_dim: int
    left: int | None = None
    right: int | None = None
    shift: int = 0

    @property
    def pairs(self) -> int:
        """Pairs of a query and a key, masked or not."""
        return self.batch * self.queries * self.keys

    @property
    def visible_pairs(self) -> int:
        """Pairs that the mask lets through."""
        upper = self.keys if self.right is None else self.right + self.shift
        lower = -self.queries if self.left is None else self.shift - self.left
        return self.batch * (self._pairs_up_to(upper) - self._pairs_up_to(lower - 1))

    def _pairs_up_to(self, diagonal: int) -> int:
        """Pairs with j - i <= diagonal: the sum over rows i of i + diagonal + 1 held between 0 and keys."""
        return self._clamped_sum(diagonal + self.queries) - self._clamped_sum(diagonal)

    def _clamped_sum(self, last: int) -> int:
        """Sum of min(t, keys) for t from 1 to `last`."""
        inside = max(0, min(last, self.keys))
        return inside * (inside + 1) // 2 + max(0, last - self.keys) * self.keys

    def causal(self, is_causal: bool, lower_right: bool = False) -> Attention:
        """The same under a causal mask."""
        shift = self.keys - self.queries if lower_right else 0
        return replace(self, right=0, shift=shift) if is_causal else self


def attention_cost(call: Call, attention: Attention, by_key: int, by_value: int, model_by_key: int) -> Cost:
    """Cost of `by_key` products over the head dimension of keys and `by_value` over that of values.

    `model_by_key` leaves out what a kernel multiplies again only to save memory.
    """
    per_pair = 2 * (by_key * attention.key_dim + by_value * attention.value_dim)
    model_per_pair = 2 * (model_by_key * attention.key_dim + by_value * attention.value_dim)
    visible = attention.visible_pairs
    traffic = vector_cost(call, "attention", 0)
    dims = {"m": attention.queries, "n": attention.keys, "k": attention.key_dim, "batch": attention.batch}
    dims |= {"causal": int(attention.right == 0), "value_dim": attention.value_dim, "products": by_key + by_value}
    dims |= {"vector_flops": VECTOR_FLOPS_PER_PAIR * visible}
    return Cost(
        family="attention",
        engine="matrix",
        flops=attention.pairs * per_pair,
        model_flops=attention.pairs * model_per_pair,
        executed_flops=visible * per_pair,
        bytes_read=traffic.bytes_read,
        bytes_written=traffic.bytes_written,
        dims=tuple(dims.items()),
    )


def forward_cost(call: Call, attention: Attention) -> Cost:
    """Two products: queries with keys, probabilities with values."""
    return attention_cost(call, attention, by_key=1, by_value=1, model_by_key=1)


def backward_cost(call: Call, attention: Attention) -> Cost:
    """Five products (Dao 2023, arXiv:2307.08691, algorithm 2): scores again, then gradients of V, P, Q and K."""
    return attention_cost(call, attention, by_key=3, by_value=2, model_by_key=2)
