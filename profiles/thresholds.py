"""Sequence lengths at which a model starts to compute something else: the windows of its attention.

Below its window a model attends to everything and needs no mask; from there on it does. What was traced on one side
says nothing about the other. Nothing here needs torch.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator
from typing import Any, Protocol

Range = tuple[int, "int | None"]
"""Shortest and longest sequence; None without an end."""

EVERYWHERE: Range = (1, None)
# Words in the name of an option that holds a length; and those with which it holds something else.
_LENGTHS = tuple(
    frozenset(words.split("_"))
    for words in ("window", "windows", "attention_chunk", "attn_chunk", "local_attention", "index_topk")
)
_OTHERS = {"layers", "pattern", "num", "indices", "prob", "dropout", "ids", "kernel", "blocks", "before", "after"}
# Parts of a configuration whose windows are not of text.
_NO_TEXT = ("vision", "image", "audio", "video")


class Model(Protocol):
    """What is asked of a module here."""

    def modules(self) -> Iterator[Any]:
        """Yield it and all below it."""


def thresholds_of(model: Model) -> tuple[int, ...]:
    """Return the lengths, rising, from which on (or above which) the model may compute something else.

    They are the integers of its configuration that are named for a window of attention, such as `sliding_window`,
    `attention_chunk_size` and `local_attention`; none where the module, and what it wraps, has no configuration.
    """
    config = next((found for part in model.modules() if (found := _configuration(part)) is not None), None)
    if config is None:
        return ()
    lengths = {length for part in _text_parts(config) for length in (*_named(part), *_sparse(part))}
    return tuple(sorted(length for length in lengths if length > 1))


def range_text(lengths: Range) -> str:
    """Return "from 512 up", "of at most 511" or "from 512 to 4,095"."""
    first, last = lengths
    if last is None:
        return f"from {first:,} up"
    return f"of at most {last:,}" if first == 1 else f"from {first:,} to {last:,}"


def held(lengths: Collection[int], thresholds: Iterable[int]) -> Range:
    """Return the lengths for which a law is proven that all of `lengths` follow.

    Thresholds between them are proven not to matter. One outside ends the range; the threshold itself, which may belong
    to either side, is in the range only if it was traced.
    """
    first, last = min(lengths), max(lengths)
    below = [length if length == first else length + 1 for length in thresholds if length <= first]
    above = [length if length == last else length - 1 for length in thresholds if length >= last]
    if first == last:
        return EVERYWHERE  # one length alone proves no law at all: it holds for itself
    return max(below, default=1), min(above, default=None)


def sides(asked: int, thresholds: Collection[int]) -> Iterator[Range]:
    """Yield ranges around a length that no threshold splits, the likeliest first: each starts at its threshold.

    Then, in case that the model changes only above it: without the threshold, or up to it where it was asked for.
    """
    start = max((length for length in thresholds if length <= asked), default=1)
    after = min((length for length in thresholds if length > asked), default=None)
    end = None if after is None else after - 1
    yield start, end
    if start == 1:
        return
    if start == asked:
        yield max((length + 1 for length in thresholds if length < asked), default=1), asked
    else:
        yield start + 1, end


def _configuration(part: Any) -> Any:
    config = getattr(part, "config", None)
    return config if callable(getattr(config, "to_dict", None)) else None


def _text_parts(config: Any) -> list[Any]:
    names = [name for name in getattr(config, "sub_configs", {}) if not any(word in name for word in _NO_TEXT)]
    parts = [part for name in names if callable(getattr(part := getattr(config, name, None), "to_dict", None))]
    return [config, *(inner for part in parts for inner in _text_parts(part))]


def _named(config: Any) -> Iterator[int]:
    options = {**config.to_dict(), "sliding_window": getattr(config, "sliding_window", None)}
    for name, value in options.items():
        words = set(name.split("_"))
        if any(wanted <= words for wanted in _LENGTHS) and not words & _OTHERS:
            values = value if isinstance(value, (list, tuple)) else (value,)
            yield from (each for each in values if isinstance(each, int) and not isinstance(each, bool))


def _sparse(config: Any) -> Iterator[int]:
    """BigBird's attention is full up to this length (transformers, BigBirdModel.forward: max_tokens_to_attend)."""
    blocks, size = (getattr(config, name, None) for name in ("num_random_blocks", "block_size"))
    if isinstance(blocks, int) and isinstance(size, int):
        yield (5 + 2 * blocks) * size
