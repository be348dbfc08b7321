"""Measured cases from a CSV file: which model ran how on what, and how long a step took or how much memory it held.

Empty is unknown. A file needs the columns of `REQUIRED`; those of `Case` that it leaves out are unknown in every row,
and columns of other names are ignored.
"""

from __future__ import annotations

import csv
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any, Final, Literal

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, ValidationError

from hardware_db.errors import DataError

REQUIRED = ("model", "task", "device", "precision", "micro_batch_size")
MEASURED = ("measured_step_time_s", "measured_peak_memory_bytes")


def _whole(value: object) -> object:
    """Read "32.0" as 32: tables with gaps come out of pandas like that."""
    return value[:-2] if isinstance(value, str) and value.endswith(".0") else value


KNOWN_COMPILERS: Final = ("eager", "inductor", "xla", "megatron", "other")
COMPILERS: Final = {
    "none": "eager",
    "torch.compile": "inductor",
    "compile": "inductor",
    "max-autotune": "inductor",
    "reduce-overhead": "inductor",
    "jax": "xla",
    "nemo": "megatron",
}
"""Other words for how a step was executed; words nobody knows stand for a framework that runs a graph."""

LAYOUTS: Final = ("contiguous", "channels_last")


def _compiler(value: object) -> object:
    word = str(value).lower()
    return word if word in KNOWN_COMPILERS else COMPILERS.get(word, "other")


def _layout(value: object) -> object:
    return value if value in LAYOUTS else LAYOUTS[0]


Count = Annotated[Annotated[int, Field(ge=1)] | None, BeforeValidator(_whole)]
Measure = Annotated[float, Field(gt=0, allow_inf_nan=False)] | None


class Case(BaseModel):
    """One row. Times in seconds, memory in bytes, sizes in samples, tokens and pixels."""

    model_config = ConfigDict(frozen=True, extra="ignore", protected_namespaces=())

    case_id: str
    model: str
    task: Literal["train", "infer"]
    device: str
    precision: str | None = None
    source: str = ""
    stratum: str = ""
    scope: Literal["forward", "forward_backward", "step"] | None = None
    compile: Annotated[Literal["eager", "inductor", "xla", "megatron", "other"], BeforeValidator(_compiler)] = "eager"
    memory_format: Annotated[Literal["contiguous", "channels_last"], BeforeValidator(_layout)] = "contiguous"
    device_count: Annotated[Annotated[int, Field(ge=1)], BeforeValidator(_whole)] = 1
    devices_per_node: Count = None
    micro_batch_size: Count = None
    gradient_accumulation_steps: Count = None
    global_batch_size: Count = None
    sequence_length: Count = None
    image_size: Count = None
    optimizer: str | None = None
    data_parallel: Count = None
    tensor_parallel: Count = None
    pipeline_parallel: Count = None
    virtual_pipeline: Count = None
    context_parallel: Count = None
    expert_parallel: Count = None
    zero_stage: Annotated[Annotated[int, Field(ge=0, le=3)] | None, BeforeValidator(_whole)] = None
    activation_checkpointing: str | None = None
    measured_step_time_s: Measure = None
    measured_peak_memory_bytes: Measure = None
    memory_basis: str | None = None
    notes: str = ""

    @property
    def training(self) -> bool:
        """Whether a training step was measured, or a part of one."""
        return self.task == "train"

    @property
    def out_of_memory(self) -> bool:
        """Whether the case ran out of memory, as its notes say."""
        return self.notes.startswith("OOM")

    @property
    def model_devices(self) -> int:
        """Devices that share one copy of the model."""
        return (self.tensor_parallel or 1) * (self.pipeline_parallel or 1) * (self.context_parallel or 1)

    @property
    def accumulation(self) -> int:
        """Micro-batches that each replica runs one after the other in a step."""
        return self.gradient_accumulation_steps or 1


@dataclass(frozen=True, slots=True)
class Unreadable:
    """A row that holds something else than its columns say, and what."""

    case_id: str
    stratum: str
    reason: str


def read_cases(path: Path) -> list[Case]:
    """Read a file of cases.

    Raises
    ------
    DataError
        The file cannot be read, misses a column, or a row holds something else than its column says.
    """
    rows = read_rows(path)
    for row in rows:
        if isinstance(row, Unreadable):
            raise DataError(f"{path}: {row.case_id}: {row.reason}")
    return [row for row in rows if isinstance(row, Case)]


def read_rows(path: Path) -> list[Case | Unreadable]:
    """Read a file of cases; rows that cannot be read keep their place with the reason.

    Raises
    ------
    DataError
        The file cannot be read or misses a column.
    """
    try:
        with path.open(encoding="utf-8", newline="") as file:
            reader = csv.DictReader(file)
            rows, columns = list(reader), reader.fieldnames or []
    except (OSError, UnicodeDecodeError, csv.Error) as error:
        raise DataError(f"Cannot read {path} as CSV: {error}") from error
    missing = [name for name in REQUIRED if name not in columns]
    if missing or not any(name in columns for name in MEASURED):
        named = ", ".join(missing) or " or ".join(MEASURED)
        raise DataError(f"{path} misses the column {named}. Its columns: {', '.join(columns) or 'none'}")
    return [_case(row, line) for line, row in enumerate(rows, start=2)]


def _case(row: dict[str, Any], line: int) -> Case | Unreadable:
    known = {name: value.strip() for name, value in row.items() if name and isinstance(value, str) and value.strip()}
    known.setdefault("case_id", f"row {line}")
    try:
        return Case.model_validate(known)
    except ValidationError as error:
        first = error.errors()[0]
        name = str(first["loc"][0])
        reason = f"line {line}: {name} is {known.get(name, '')!r}; {first['msg']}"
        return Unreadable(known["case_id"], known.get("stratum", ""), reason)
