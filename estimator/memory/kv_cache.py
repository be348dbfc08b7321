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
from typing import TYPE_CHECKING, Any

from estimator.memory.cached_layers import CachedLayers, KvCache, element_bytes
from estimator.memory.looking_back import attention_kept
from estimator.memory.recurrent import MIXED, state_of_sequence
from estimator.memory.windows import configuration_of, unread_window, windows_of, writes_text
from hardware_db.errors import UsageError
from hardware_db.units import product_precision
from profiles.layers import expand_path

if TYPE_CHECKING:
    from profiles.model_profile import ModelProfile


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
    parts = attention_kept(profile)
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
