"""Text written by a language model: the prompt in one pass, then token by token with a cache of keys and values.

    prefill = a forward pass of the prompt
    token   = a forward pass of one token of every sequence + keys and values of all tokens so far, read once

The cache is on average half of the answer beyond the prompt. Weights are read by the operations of the pass itself. No
time for sampling, scheduling or the network; batches are full and in step.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

from estimator.memory.generation import Generation, GenerationNeed, generation_of
from estimator.memory.kv_cache import kv_cache_bytes
from estimator.ranges import Range
from estimator.serving.passes import Way, forward_pass
from estimator.timing import streaming
from hardware_db.errors import UsageError

if TYPE_CHECKING:
    from estimator.timing import Basis
    from hardware_db import Device, Offer
    from profiles.model_profile import ModelProfile

HOUR_S: Final = 3600.0
MILLION: Final = 1e6
MOST_BITS: Final = 16

EAGER_HOST_SHARE: Final = 0.61
"""Of the host's time for a forward pass, what it takes for one token after the other in eager PyTorch: fitted to what
transformers takes on a T4, an RTX 4090 and an H100 (benchmarks/published_serving.csv); 0.51 to 0.61 with one of the
devices left out in turn."""

COMPILED_SHARE: Final = 0.70
"""Of the time of a compiled forward pass on a GPU, what one takes for one token after the other: kernels for single
rows, replayed as one graph. Fitted to what gpt-fast takes on an A100 and an MI250X, weights of 16, 8 and 4 bits; 0.64
and 0.72 with one of the devices left out."""


@dataclass(frozen=True, slots=True)
class Writing:
    """Text on one device.

    Attributes
    ----------
    batch_size, prompt, answer
        sequences at once, tokens of a prompt and of an answer
    prefill, token
        seconds until the first token of all sequences, and of each further token of all of them
    need
        what the device must hold
    offer
        what is rented, None where nothing is
    usd_per_million
        tokens written, prompts included in the price, on one device of the offer that is always busy [USD]
    precision, weight_bits
        in which it computes; bits of a weight in the layers, None: those of the precision
    """

    device: Device
    batch_size: int
    prompt: int
    answer: int
    prefill: Range
    token: Range
    basis: Basis
    need: GenerationNeed
    offer: Offer | None
    usd_per_million: Range | None
    precision: str
    weight_bits: float | None = None

    @property
    def latency(self) -> Range:
        """Seconds of a whole answer."""
        return self.prefill + self.token * (self.answer - 1)

    @property
    def tokens_per_s(self) -> float:
        """Tokens written a second, prompts' time included."""
        return self.batch_size * self.answer / self.latency.mid

    @property
    def fits(self) -> bool | None:
        """Whether the memory suffices; None where it is unknown."""
        capacity = self.device.usable_memory_bytes
        return None if capacity is None else self.need.peak.total_bytes <= capacity

    def to_dict(self) -> dict[str, Any]:
        """Return it in base units."""
        return {
            "device": self.device.id,
            "batch_size": self.batch_size,
            "prompt_tokens": self.prompt,
            "answer_tokens": self.answer,
            "prefill_s": self.prefill.mid,
            "token_s": self.token.mid,
            "latency_s": self.latency.mid,
            "latency_s_low": self.latency.low,
            "latency_s_high": self.latency.high,
            "tokens_per_s": self.tokens_per_s,
            "peak_memory_bytes": self.need.peak.total_bytes,
            "kv_cache_bytes": self.need.cache_bytes,
            "fits": self.fits,
            "precision": self.precision,
            "weight_bits": self.weight_bits,
            "basis": self.basis,
            "provider": self.offer.provider if self.offer else None,
            "usd_per_million_tokens": self.usd_per_million.mid if self.usd_per_million else None,
        }


@dataclass(frozen=True, slots=True)
class Dialogue:
    """Sequences at once, tokens of a prompt, tokens of an answer; bits of a weight in the layers (None: as recorded).

    Raises
    ------
    UsageError
        weights of fewer than 1 or more than 16 bits
    """

    batch_size: int
    prompt: int
    answer: int
    weight_bits: float | None = None

    def __post_init__(self) -> None:
        if self.weight_bits is not None and not 1 <= self.weight_bits <= MOST_BITS:
            raise UsageError(f"weight_bits must be between 1 and {MOST_BITS}; given: {self.weight_bits:g}")


def writing_on(
    profile: ModelProfile, device: Device, asked: Dialogue, offer: Offer | None = None, *, compiled: bool = False
) -> Writing:
    """Predict the writing of text on one device.

    Parameters
    ----------
    profile
        of the forward pass, in the precision of the weights
    device
        one device; of an offer what is really rented
    asked
        how many sequences of which length
    offer
        what is rented
    compiled
        whether torch.compile runs it

    Raises
    ------
    UsageError
        the profile is of a training step, keeps no keys and values, or takes no sequence so long
    UnknownPrecision
        the device has no peak for the precision
    """
    one = device.logical_device()
    length, bits = asked.prompt + asked.answer, asked.weight_bits
    need = generation_of(
        profile, Generation(length, asked.batch_size, prompt_length=asked.prompt, weight_bits=bits), one
    )
    prefill, basis = forward_pass(profile, (asked.batch_size, asked.prompt), one, Way(compiled, weight_bits=bits))
    token_by_token = Way(compiled, 1.0 if compiled else EAGER_HOST_SHARE, bits)
    single, _ = forward_pass(profile, (asked.batch_size, 1), one, token_by_token)
    if compiled and one.kind == "gpu":
        single = single * COMPILED_SHARE
    cached = kv_cache_bytes(profile, asked.batch_size, asked.prompt + asked.answer // 2)
    token = _no_less(single + streaming(cached, one), need.weight_bytes + cached, one)
    hourly = offer.usd_per_device_hour / device.logical_devices if offer else None
    seconds = prefill + token * (asked.answer - 1)
    written = asked.batch_size * asked.answer
    price = None if hourly is None else seconds * (hourly / HOUR_S * MILLION / written)
    sizes = asked.batch_size, asked.prompt, asked.answer
    return Writing(device, *sizes, prefill, token, basis, need, offer, price, profile.precision, bits)


def _no_less(token: Range, read_bytes: float, device: Device) -> Range:
    """Return the time of a token with no end below what reading weights and cache once takes at the rated bandwidth."""
    least = read_bytes / (device.memory_bandwidth_bytes_per_s or math.inf)
    return Range(max(token.low, least), max(token.mid, least), max(token.high, least))
