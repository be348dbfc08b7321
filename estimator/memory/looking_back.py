"""Which attention of a model looks back at earlier tokens, and what it keeps of each: read from its recorded calls.

Fused attention is found by its calls, attention made of plain products by the names of the products around it.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from estimator.memory.cached_layers import CachedLayers
from profiles.layers import layer_count

if TYPE_CHECKING:
    from profiles.model_profile import ModelProfile
    from profiles.records import Operation

SEPARATE: Final = frozenset({"k_proj", "v_proj", "key", "value", "k", "v", "key_proj", "value_proj", "k_lin", "v_lin"})
FUSED: Final = frozenset({"c_attn", "query_key_value", "qkv_proj", "Wqkv", "qkv", "in_proj", "qkv_linear"})
LATENT: Final = frozenset({"kv_a_proj_with_mqa"})
RESULT: Final = frozenset({"o_proj", "c_proj", "dense", "out_proj", "o", "wo", "Wo", "out_lin", "proj"})
"""Last component of the module paths of the products around attention: keys or values, all three, latent, result."""

ENCODER: Final = frozenset({"encoder", "vision_model", "vision_tower", "visual"})
"""Components of the path of a part that reads its input at once: nothing is kept of it."""

CROSS: Final = frozenset({"encoder_attn", "EncDecAttention", "crossattention", "cross_attn", "multihead_attn"})
"""Last component of the path of attention to what the encoder read."""


def attention_kept(profile: ModelProfile) -> list[CachedLayers]:
    """Return what each attention that looks back keeps of a token, equal layers together; windows are not read."""
    attentions = list(_attentions(profile))
    if not attentions:
        return list(_unfused(profile))
    return [_part(each) for each in attentions if _looks_back(each)]


@dataclass(frozen=True, slots=True)
class _Attention:
    """Attention of equal layers: its call, None where it is made of plain products, and the products around it."""

    module: str
    call: Operation | None
    products: Mapping[str, int]
    result: int | None


def _attentions(profile: ModelProfile) -> Iterator[_Attention]:
    """Yield the fused attention calls of the forward pass."""
    for operation in profile.operations:
        if operation.phase == "forward" and operation.family == "attention" and not _encodes(operation.module):
            yield _around(profile, operation.module, operation)


def _around(profile: ModelProfile, module: str, call: Operation | None) -> _Attention:
    products: dict[str, int] = {}
    result = None
    for operation in profile.operations:
        parent, _, name = operation.module.rpartition(".")
        if operation.phase != "forward" or operation.family != "matmul" or parent != module:
            continue
        dims = dict(operation.dims)
        if name in RESULT:
            result = dims["k"]
        products.setdefault(name, dims["n"])
    return _Attention(module, call, products, result)


def _encodes(module: str) -> bool:
    return not ENCODER.isdisjoint(module.split("."))


def _crosses(module: str) -> bool:
    return module.rpartition(".")[2] in CROSS


def _looks_back(attention: _Attention) -> bool:
    """Whether it is causal, has a mask of queries by keys, or looks at what an encoder read."""
    if attention.call is None or _crosses(attention.module):
        return True
    dims = dict(attention.call.dims)
    masked = any(tensor.shape[-2:] == (dims["m"], dims["n"]) for tensor in attention.call.inputs[3:])
    return bool(dims.get("causal")) or masked


def _part(attention: _Attention) -> CachedLayers:
    assert attention.call is not None
    keys, values = attention.call.inputs[1:3]
    called = _of_a_token(keys.shape) + _of_a_token(values.shape)
    elements = _projected(attention) or called
    heads = max(1, keys.shape[1] * elements // called)
    dims = dict(attention.call.dims)
    source = dims["n"] if _crosses(attention.module) else None
    latent = not LATENT.isdisjoint(attention.products)
    return CachedLayers(attention.module, layer_count(attention.module), 1 if latent else heads, elements, None, source)


def _of_a_token(shape: tuple[int, ...]) -> int:
    """Numbers of one token in keys or values of (batch, heads, tokens, width)."""
    return shape[1] * shape[-1]


def _projected(attention: _Attention) -> int:
    """Numbers that the products make of a token for keys and values, before heads are repeated; 0 where unknown."""
    products = attention.products
    latent = [size for name, size in products.items() if name in LATENT]
    if latent:
        return latent[0]
    separate = [size for name, size in products.items() if name in SEPARATE]
    if len(separate) == 2:
        return sum(separate)
    fused = [size for name, size in products.items() if name in FUSED]
    return fused[0] - attention.result if fused and attention.result else 0


def _unfused(profile: ModelProfile) -> Iterator[CachedLayers]:
    """Yield the attention that is made of plain products (eager), found by the names of the products around it."""
    names = SEPARATE | FUSED | LATENT
    forward = [op.module for op in profile.operations if op.phase == "forward" and op.family == "matmul"]
    parents = dict.fromkeys(path.rpartition(".")[0] for path in forward if path.rpartition(".")[2] in names)
    for module in parents:
        attention = _around(profile, module, None)
        elements = _projected(attention)
        width = _head_width(profile, module)
        if elements and width is not None and not _encodes(module) and not _crosses(module):
            heads = max(1, elements // (2 * width)) if LATENT.isdisjoint(attention.products) else 1
            yield CachedLayers(module, layer_count(module), heads, elements)


def _head_width(profile: ModelProfile, module: str) -> int | None:
    """Return the width of a head: what queries times keys sum over; None without scores of tokens by tokens."""
    tokens = profile.sequence_length
    for operation in profile.operations:
        dims = dict(operation.dims)
        if operation.module == module and operation.phase == "forward" and dims.get("m") == dims.get("n") == tokens:
            return dims["k"]
    return None
