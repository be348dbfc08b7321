"""The keys and values that a model keeps of every token while it writes: how many bytes, for any context and batch.

    cache = kv_cache_of(profile)
    kv_cache_bytes(cache, batch_size=8, context_length=4096)

    bytes = sum over layers: sequences x tokens kept x elements of a token x bytes of an element

Elements are 2 x heads with keys of their own x head dimension (grouped-query attention: Ainslie et al., 2023,
arXiv:2305.13245), or the shared latent and its rotary key (multi-head latent attention: DeepSeek-AI, 2024,
arXiv:2405.04434, section 2.1). They are read from the recorded products and attention calls, so that a model of one's
own answers like a published one. Layers with a sliding window keep no more tokens than it; cross attention keeps those
of the encoder.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from functools import lru_cache
from typing import TYPE_CHECKING, Any, Final

from estimator.memory.recurrent import MIXED, RecurrentState, state_of_sequence
from estimator.memory.windows import configuration_of, unread_window, windows_of, writes_text
from hardware_db.errors import UsageError
from hardware_db.units import parse_precision, product_precision
from profiles.layers import expand_path, layer_count

if TYPE_CHECKING:
    from profiles.model_profile import ModelProfile
    from profiles.records import Operation

ELEMENT_BYTES: Final[Mapping[str, float]] = {
    "float64": 8,
    "float32": 4,
    "tf32": 4,
    "float16": 2,
    "bfloat16": 2,
    "float8": 1,
    "int8": 1,
    "int4": 0.5,
}
"""Bytes of an element by the precision it is kept in; scales of quantised caches are not counted."""

SEPARATE: Final = frozenset({"k_proj", "v_proj", "key", "value", "k", "v", "key_proj", "value_proj", "k_lin", "v_lin"})
FUSED: Final = frozenset({"c_attn", "query_key_value", "qkv_proj", "Wqkv", "qkv", "in_proj", "qkv_linear"})
LATENT: Final = frozenset({"kv_a_proj_with_mqa"})
RESULT: Final = frozenset({"o_proj", "c_proj", "dense", "out_proj", "o", "wo", "Wo", "out_lin", "proj"})
"""Last component of the module paths of the products around attention: keys or values, all three, latent, result."""

ENCODER: Final = frozenset({"encoder", "vision_model", "vision_tower", "visual"})
"""Components of the path of a part that reads its input at once: nothing is kept of it."""

CROSS: Final = frozenset({"encoder_attn", "EncDecAttention", "crossattention", "cross_attn", "multihead_attn"})
"""Last component of the path of attention to what the encoder read."""


@dataclass(frozen=True, slots=True)
class CachedLayers:
    """Equal layers that keep something of each token.

    Attributes
    ----------
    module
        path of their attention, folded
    layers
        how many
    heads
        heads with keys and values of their own; 1 for a latent that all heads share
    elements
        numbers that one layer keeps of one token, all heads together
    window
        most tokens that a layer keeps; None: all
    source_tokens
        tokens of the encoder that cross attention keeps whatever is written; None for self attention
    """

    module: str
    layers: int
    heads: int
    elements: int
    window: int | None = None
    source_tokens: int | None = None

    def tokens(self, context_length: int, block_tokens: int = 1) -> int:
        """Return how many tokens of a sequence a layer keeps, filled up to whole blocks."""
        kept = self.source_tokens
        if kept is None:
            kept = min(context_length, self.window or context_length)
        return math.ceil(kept / block_tokens) * block_tokens

    def elements_of(self, tensor_parallel: int) -> int:
        """Return the numbers that one of so many devices keeps: no head is divided, all devices keep a latent."""
        return self.elements // self.heads * math.ceil(self.heads / tensor_parallel)


@dataclass(frozen=True, slots=True)
class KvCache:
    """What a model keeps of each token.

    Attributes
    ----------
    parts
        its layers
    precision
        in which keys and values are kept unless another is asked for
    notes
        what the reader should know
    state
        what recurrent layers keep of a sequence whatever its length, in the model's own precision and float32
    """

    parts: tuple[CachedLayers, ...]
    precision: str
    notes: tuple[str, ...] = ()
    state: RecurrentState | None = None

    @property
    def elements_per_token(self) -> int:
        """Numbers kept of a token that all layers look back to, all layers together."""
        return sum(part.layers * part.elements for part in self.parts if part.source_tokens is None)


def kv_cache_bytes(
    cache: KvCache | ModelProfile,
    batch_size: int,
    context_length: int,
    *,
    precision: str | None = None,
    block_tokens: int = 1,
    tensor_parallel: int = 1,
) -> int:
    """Return the bytes of keys and values that one device keeps.

    A step that writes one more token reads all of them once.

    Parameters
    ----------
    cache
        what is kept of a token, or a profile of the model (training or inference, any precision)
    batch_size
        sequences that are written at once
    context_length
        tokens of each that are there: prompt and answer so far
    precision
        of the kept numbers: "bfloat16", "float8", "int8" ...; default the model's own (2 bytes in mixed precision)
    block_tokens
        tokens of a block where the cache is kept in blocks (vLLM: 16; Kwon et al., 2023, arXiv:2309.06180)
    tensor_parallel
        devices that share the heads

    Raises
    ------
    UsageError
        a size below 1, a precision whose size is not known, or a model that keeps no keys and values

    Examples
    --------
    >>> kv_cache_bytes(profile, batch_size=1, context_length=8192)    # llama-3.1-8b: 2 x 8 heads x 128 x 32 layers
    1073741824
    """
    found = cache if isinstance(cache, KvCache) else kv_cache_of(cache)
    sizes = {
        "batch_size": batch_size,
        "context_length": context_length,
        "block_tokens": block_tokens,
        "tensor_parallel": tensor_parallel,
    }
    for name, size in sizes.items():
        if size < 1:
            raise UsageError(f"{name} must be 1 or more; given: {size}")
    elements = sum(
        part.layers * part.elements_of(tensor_parallel) * part.tokens(context_length, block_tokens)
        for part in found.parts
    )
    state = found.state.bytes_of(element_bytes(found.precision), tensor_parallel) if found.state else 0.0
    return math.ceil(batch_size * (elements * element_bytes(precision or found.precision) + state))


def element_bytes(precision: str) -> float:
    """Return the bytes of a number kept in a precision; mixed precision keeps the half type.

    Raises
    ------
    UsageError
        the precision has no size here
    """
    name = product_precision(parse_precision(precision))
    if name not in ELEMENT_BYTES:
        raise UsageError(f"A cache cannot be kept in {precision}. Use one of: {', '.join(ELEMENT_BYTES)}")
    return ELEMENT_BYTES[name]


def kv_cache_of(profile: ModelProfile) -> KvCache:
    """Return what a model keeps of each token, read from a profile of it.

    Raises
    ------
    UsageError
        It keeps nothing: no attention that looks back (convolutions, encoders, recurrent and state-space models).
    """
    return _cache_at(_Sized(profile))


@dataclass(frozen=True, eq=False)
class _Sized:
    """A profile that is cheap to compare: equal where what is kept of a token is."""

    profile: ModelProfile

    @property
    def key(self) -> tuple[object, ...]:
        trace = self.profile.trace
        return trace.current, trace.batch_size, trace.sequence_length, self.profile.model, self.profile.precision

    def __hash__(self) -> int:
        return hash(self.key)

    def __eq__(self, other: object) -> bool:
        return isinstance(other, _Sized) and self.key == other.key


@lru_cache(maxsize=256)
def _cache_at(sized: _Sized) -> KvCache:
    profile = sized.profile
    configuration = configuration_of(profile.model) or {}
    precision = product_precision(profile.precision)
    state = state_of_sequence(configuration)
    if state is not None:
        return KvCache((), precision, state=state)
    attentions = list(_attentions(profile))
    parts = [_part(each) for each in attentions if _looks_back(each)] if attentions else list(_unfused(profile))
    if not writes_text(profile.model) or not any(part.source_tokens is None for part in parts):
        raise UsageError(
            f"{profile.model} keeps no keys and values: nothing writes token by token, looking back. "
            "One forward pass: --inference"
        )
    layers = sum(part.layers for part in parts if part.source_tokens is None)
    windowed = _windowed(parts, windows_of(configuration, layers))
    return KvCache(tuple(windowed), precision, tuple(_left_out(configuration)))


def _left_out(configuration: Mapping[str, Any]) -> Iterator[str]:
    """Yield what a configuration states and is not counted."""
    if unread_window(configuration):
        yield "window of the configuration left out: which layers use it is not known"
    if configuration.get("model_type") in MIXED:
        yield "what its recurrent layers keep of a sequence is left out: it is not known here"


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


def _windowed(parts: list[CachedLayers], windows: tuple[int | None, ...]) -> Iterator[CachedLayers]:
    """Yield the parts, those whose layers have different windows taken apart; windows go by the layers' order."""
    owners = {path: part for part in parts if part.source_tokens is None for path in expand_path(part.module)}
    ordered = sorted(owners, key=lambda path: [int(each) for each in path.split(".") if each.isdecimal()])
    groups: dict[tuple[CachedLayers, int | None], int] = {}
    for path, window in zip(ordered, windows, strict=True):
        key = (owners[path], window)
        groups[key] = groups.get(key, 0) + 1
    yield from (replace(part, layers=layers, window=window) for (part, window), layers in groups.items())
    yield from (part for part in parts if part.source_tokens is not None)
