"""A split as people write it: "tp=8,pp=4,zero=1". What is not said is left to whoever answers."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Final

from estimator.parallel.parallelism import CHECKPOINTING, SCHEDULES, Parallelism
from hardware_db.errors import UsageError, one_line

NUMBERS: Final = {
    "dp": "data_parallel",
    "tp": "tensor_parallel",
    "pp": "pipeline_parallel",
    "vp": "virtual_pipeline",
    "cp": "context_parallel",
    "ep": "expert_parallel",
    "zero": "zero_stage",
    "shard": "sharding_group",
    "micro": "micro_batch_size",
}
"""Word of a split -> the field of a `Parallelism` (or the micro-batch) that it gives a number."""

WORDS: Final[dict[str, tuple[str, dict[str, object]]]] = {
    "schedule": ("schedule", {name.replace("_", "-"): name for name in SCHEDULES}),
    "recompute": ("activation_checkpointing", {name: name for name in CHECKPOINTING}),
    "stages": ("even_stages", {"even": True, "uneven": False}),
}
"""Word of a split -> the field that it sets, and what its values mean."""

EXAMPLE: Final = "tp=8,pp=4,zero=1"


@dataclass(frozen=True, slots=True)
class AskedSplit:
    """What was asked for of a split: fields of a `Parallelism` and the micro-batch, with their values.

    `among` are the values that some fields may have besides, because the software has no others.
    """

    given: tuple[tuple[str, object], ...] = ()
    among: tuple[tuple[str, tuple[object, ...]], ...] = ()

    def allows(self, name: str, value: object) -> bool:
        """Return whether a field may have a value."""
        return self.wants(name, value) and all(value in values for field, values in self.among if field == name)

    def wants(self, name: str, value: object) -> bool:
        """Return whether a field may have a value as far as was asked, whatever the software has."""
        return all(value == wanted for field, wanted in self.given if field == name)

    def value(self, name: str) -> object:
        """Return what was asked for of a field; None where nothing was."""
        return dict(self.given).get(name)

    def on(self, devices: int) -> Parallelism:
        """Return the split of so many devices; what was not asked for is 1, 0 or as its degrees are usually run.

        Raises
        ------
        UsageError
            the degrees do not multiply to the devices, or contradict each other
        """
        fields = {name: value for name, value in self.given if name != "micro_batch_size"}
        inside = 1
        for name in ("tensor_parallel", "pipeline_parallel", "context_parallel"):
            inside *= int(str(fields.get(name, 1)))
        replicas, rest = divmod(devices, max(1, inside))
        if rest or fields.get("data_parallel", replicas) != replicas:
            raise UsageError(
                f"a split into {self} does not divide {devices} devices: they must be multiples of {inside}"
            )
        usual = {
            "sequence_parallel": fields.get("tensor_parallel", 1) != 1,
            "schedule": "interleaved" if fields.get("virtual_pipeline", 1) != 1 else "1f1b",
        }
        return Parallelism(**(usual | fields | {"data_parallel": replicas}))  # type: ignore[arg-type]

    def __str__(self) -> str:
        words = {field: word for word, field in NUMBERS.items()} | {field: word for word, (field, _) in WORDS.items()}
        spoken = {(field, value): name for field, values in WORDS.values() for name, value in values.items()}
        return ",".join(f"{words[field]}={spoken.get((field, value), value)}" for field, value in self.given)

    def within(self, runs: Mapping[str, tuple[object, ...]]) -> AskedSplit:
        """Return the same split where the software has only these values of some fields."""
        return replace(self, among=tuple(runs.items()))


ANYTHING: Final = AskedSplit()


def read_split(text: str) -> AskedSplit:
    """Read a split: words with values, separated by commas.

    Raises
    ------
    UsageError
        a word nobody knows, a value that is none, or a word given twice

    Examples
    --------
    >>> read_split("tp=8, pp=4, recompute=full").on(64).data_parallel
    2
    """
    given = [_part(part.strip()) for part in text.split(",")]
    fields = [field for field, _ in given]
    if len(set(fields)) < len(fields):
        raise UsageError(f"--split {one_line(text)}: each word once, for example {EXAMPLE}")
    return AskedSplit(tuple(given))


def _part(part: str) -> tuple[str, object]:
    word, equals, value = (each.strip().casefold() for each in part.partition("="))
    if word in WORDS and equals:
        field, values = WORDS[word]
        if value not in values:
            raise UsageError(f"--split {one_line(part)}: {word} is one of {', '.join(values)}")
        return field, values[value]
    if word not in NUMBERS or not equals:
        raise UsageError(f"--split {part!r}: give {', '.join((*NUMBERS, *WORDS))} with values, for example {EXAMPLE}")
    if not value.isdecimal() or len(value) > 9:
        raise UsageError(f"--split {one_line(part)}: {word} is a whole number, for example {EXAMPLE}")
    return NUMBERS[word], int(value)
