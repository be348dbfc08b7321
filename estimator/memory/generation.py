"""What one device must hold to write text: weights, keys and values, and the larger of prefill and decoding besides.

    prefill    the prompt goes through at once; only the last token's scores are computed
    decode     one token of each sequence goes through; keys and values of all tokens so far are there

Weights and activations come from a profile of the forward pass, keys and values from `estimator.memory.kv_cache`. Each
step of decoding reads all weights and all keys and values once: `GenerationNeed.read_bytes` over the memory bandwidth
bounds its time from below (Pope et al., 2022, arXiv:2211.05102, section 2).
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Final

from estimator.memory.cached_layers import KvCache
from estimator.memory.holding import Held, work_of
from estimator.memory.kv_cache import kv_cache_bytes, kv_cache_of
from estimator.memory.moments import ACTIVATION, BUFFER, INPUT, PARAMETER, moments_of
from estimator.memory.need import MemoryNeed, need_of
from estimator.memory.overheads import GENERAL, overhead_of
from estimator.memory.states import BITS, large_tensors, layer_parameters
from hardware_db.errors import UsageError

if TYPE_CHECKING:
    from hardware_db import Device
    from profiles.model_profile import ModelProfile


@dataclass(frozen=True, slots=True)
class Generation:
    """How text is written.

    Attributes
    ----------
    context_length
        tokens of a sequence at its end, prompt and answer
    batch_size
        sequences that are written at once
    prompt_length
        tokens that go through at once at first; None: all but one, the most that can be
    cache_precision
        in which keys and values are kept; None: the model's own
    weight_bits
        bits of a weight in the layers, scales included; None: as recorded
    block_tokens
        tokens of a block of the cache (vLLM: 16); 1: it grows token by token, a layer's keys being copied as they do
        (transformers' DynamicCache)
    tensor_parallel
        devices that share every layer
    """

    context_length: int
    batch_size: int = 1
    prompt_length: int | None = None
    cache_precision: str | None = None
    weight_bits: float | None = None
    block_tokens: int = 1
    tensor_parallel: int = 1

    def __post_init__(self) -> None:
        for name in ("context_length", "batch_size", "block_tokens", "tensor_parallel"):
            if getattr(self, name) < 1:
                raise UsageError(f"{name} must be 1 or more; given: {getattr(self, name)}")
        if self.prompt_length is not None and not 0 < self.prompt_length <= self.context_length:
            raise UsageError(
                f"prompt_length must be between 1 and the context of {self.context_length:,} tokens; "
                f"given: {self.prompt_length:,}"
            )

    @property
    def prompt(self) -> int:
        """Tokens that go through at once at first."""
        return self.prompt_length or max(1, self.context_length - 1)


@dataclass(frozen=True, slots=True)
class GenerationNeed:
    """What one device must hold while text is written.

    Attributes
    ----------
    prefill, decode
        at the peak of the first pass, and of the last one
    cache
        what is kept of a token
    cache_bytes
        keys and values at the end
    weight_bytes
        weights of one device
    """

    prefill: MemoryNeed
    decode: MemoryNeed
    cache: KvCache
    cache_bytes: int
    weight_bytes: int

    @property
    def peak(self) -> MemoryNeed:
        """The one of both that holds more."""
        return max(self.prefill, self.decode, key=lambda need: need.total_bytes)

    @property
    def read_bytes(self) -> int:
        """Bytes that one device reads to write the last token of every sequence."""
        return self.weight_bytes + self.cache_bytes


PHASES: Final = ("prefill", "decode")


def generation_of(profile: ModelProfile, how: Generation, device: Device | None = None) -> GenerationNeed:
    """Return what one device must hold to write text with a model.

    Parameters
    ----------
    profile
        the forward pass of the model (mode "forward"), in the precision its weights have
    how
        sequences, tokens and how they are kept
    device
        one device as the framework counts it; default a GPU with nothing known of it and no capacity

    Raises
    ------
    UsageError
        The profile is of a training step, the model keeps no keys and values, or takes no sequence so long.

    Examples
    --------
    >>> found = generation_of(profile, Generation(context_length=8192, batch_size=16), database.device("l4"))
    >>> found.cache_bytes, found.peak.verdict
    (17179869184, 'out_of_memory')
    """
    if profile.mode != "forward":
        raise UsageError(
            f"The profile of {profile.model} is of a training step. Generation needs the forward pass: "
            'profile_model(..., mode="forward"), or flopcast profile --inference'
        )
    if profile.sequence_length is None:
        raise UsageError(f"{profile.model} has no sequences: it writes no text. One forward pass: --inference")
    limit = profile.sequence_limit
    if limit is not None and how.context_length > limit:
        raise UsageError(
            f"{profile.model} takes at most {limit:,} tokens; a context of {how.context_length:,} was given"
        )
    cache = kv_cache_of(profile)
    if any(part.source_tokens for part in cache.parts):
        cache = kv_cache_of(_sized(profile, how, how.prompt))
    if not _any_length(profile):
        said = f"activations in proportion to those of {profile.sequence_length:,} tokens, the only length recorded"
        cache = replace(cache, notes=(*cache.notes, said))
    helds = [_held(profile, cache, how, phase) for phase in PHASES]
    overhead = GENERAL if device is None else overhead_of(device)
    capacity = None if device is None else device.usable_memory_bytes
    prefill, decode = (need_of(held, overhead, capacity) for held in helds)
    return GenerationNeed(
        prefill, decode, cache, _cache_bytes(cache, how, how.context_length), helds[1].parameter_bytes
    )


def _held(profile: ModelProfile, cache: KvCache, how: Generation, phase: str) -> Held:
    """Return the tensors at the peak of one phase."""
    tokens = how.prompt if phase == "prefill" else 1
    sized = _sized(profile, how, tokens)
    moments = moments_of(sized)
    before = _head(sized) if phase == "prefill" else len(moments.live)
    live = moments.live[:before]
    peak = int(live[:, ACTIVATION].argmax())
    families, threads = work_of(sized.trace.current)
    kept = _cache_bytes(cache, how, how.prompt if phase == "prefill" else how.context_length)
    return Held(
        parameter_bytes=_weights(profile, int(live[peak, PARAMETER]), how) // how.tensor_parallel,
        gradient_bytes=0,
        optimizer_state_bytes=0,
        activation_bytes=_scaled(profile, int(live[peak, ACTIVATION]), tokens)
        + (_copied(cache, how) if phase == "decode" else 0),
        input_and_buffer_bytes=int(live[peak, INPUT] + live[peak, BUFFER]),
        gathered_bytes=0,
        bucket_bytes=0,
        host_bytes=0,
        phase=phase,
        module=moments.outline.modules[peak],
        tensors=large_tensors(profile, 0),
        multiplying_threads=threads,
        convolves="convolution" in families,
        communicates=how.tensor_parallel > 1,
        cache_bytes=kept,
    )


def _any_length(profile: ModelProfile) -> bool:
    """Whether the profile holds for any number of tokens (some windows make other calls below and above them)."""
    return profile.sequence_length is not None and profile.trace.recording.any_length


def _sized(profile: ModelProfile, how: Generation, tokens: int) -> ModelProfile:
    """Return the profile of one pass of so many tokens, or of the recorded number where it holds for that only."""
    return profile.at(how.batch_size, tokens if _any_length(profile) else None)


def _scaled(profile: ModelProfile, activations: int, tokens: int) -> int:
    """Return the activations of so many tokens: in proportion where the profile holds for another number only."""
    if _any_length(profile) or not profile.sequence_length:
        return activations
    return round(activations * tokens / profile.sequence_length)


def _head(profile: ModelProfile) -> int:
    """Return the number of the moment at which scores of all tokens are computed: only the last token's are needed."""
    products = [op.module for op in profile.operations if op.engine == "matrix"]
    modules = moments_of(profile).outline.modules
    return modules.index(products[-1]) if products and products[-1] in modules[1:] else len(modules)


def _cache_bytes(cache: KvCache, how: Generation, tokens: int) -> int:
    return kv_cache_bytes(
        cache,
        how.batch_size,
        tokens,
        precision=how.cache_precision,
        block_tokens=how.block_tokens,
        tensor_parallel=how.tensor_parallel,
    )


def _copied(cache: KvCache, how: Generation) -> int:
    """Keys of one layer, of which old and new ones are there while one token is appended; none with blocks."""
    if how.block_tokens > 1 or not cache.parts:
        return 0
    each = [
        _cache_bytes(KvCache((part,), cache.precision), how, how.context_length) // part.layers for part in cache.parts
    ]
    return max(each) // 2


def _weights(profile: ModelProfile, recorded: int, how: Generation) -> int:
    """Bytes of all weights with those of the layers in so many bits."""
    if how.weight_bits is None:
        return recorded
    each = recorded / profile.parameters
    return round(recorded - layer_parameters(profile) * (each - how.weight_bits / BITS))
