"""How a training step is split over devices: the degrees, and the rules under which they fit together."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final, Literal, get_args

from hardware_db.errors import UsageError

Schedule = Literal["gpipe", "1f1b", "interleaved", "zero_bubble"]
SCHEDULES: Final[tuple[Schedule, ...]] = get_args(Schedule)
Checkpointing = Literal["none", "selective", "full"]
CHECKPOINTING: Final[tuple[Checkpointing, ...]] = get_args(Checkpointing)

DEGREES: Final = (
    "data_parallel",
    "tensor_parallel",
    "pipeline_parallel",
    "virtual_pipeline",
    "context_parallel",
    "expert_parallel",
)


@dataclass(frozen=True, slots=True)
class Parallelism:
    """How one training step is split.

    Attributes
    ----------
    data_parallel
        replicas, each with its share of the batch
    tensor_parallel
        devices that share every matrix product of a layer (Shoeybi et al., 2019)
    pipeline_parallel
        stages of consecutive layers (Huang et al., 2019)
    virtual_pipeline
        chunks of layers that each stage holds; above 1 with `schedule="interleaved"` (Narayanan et al., 2021)
    context_parallel
        devices that share the tokens of a sequence, attention passing keys and values around (Liu et al., 2023)
    expert_parallel
        devices that share the experts of a layer; they are taken from the data and context parallel ones, where their
        number does not divide those, also from the tensor parallel ones
    zero_stage
        what data-parallel replicas do not keep in full: 0 nothing (DDP), 1 optimizer state (distributed optimizer),
        2 also gradients, 3 also parameters (FSDP) (Rajbhandari et al., 2020)
    sharding_group
        devices over which ZeRO divides its state; the groups keep copies of each other (hybrid sharding, HSDP). 0: all
    schedule
        order of forward and backward passes of the pipeline
    even_stages
        whether equal layers that divide evenly are dealt to stages evenly, not by what embedding and head take besides
    sequence_parallel
        norms, dropout and residuals between tensor-parallel products also divide the tokens (Korthikanti et al., 2022)
    activation_checkpointing
        "none"; "selective": attention scores are computed again; "full": only the input of each layer is kept

    Raises
    ------
    UsageError
        degrees that are no positive whole numbers or contradict each other

    Examples
    --------
    >>> Parallelism(data_parallel=8, tensor_parallel=4, pipeline_parallel=2).devices
    64
    """

    data_parallel: int = 1
    tensor_parallel: int = 1
    pipeline_parallel: int = 1
    virtual_pipeline: int = 1
    context_parallel: int = 1
    expert_parallel: int = 1
    zero_stage: int = 0
    sharding_group: int = 0
    schedule: Schedule = "1f1b"
    even_stages: bool = True
    sequence_parallel: bool = False
    activation_checkpointing: Checkpointing = "none"

    def __post_init__(self) -> None:
        _check_degrees(self)
        _check_choice("schedule", self.schedule, SCHEDULES)
        _check_choice("activation_checkpointing", self.activation_checkpointing, CHECKPOINTING)
        _check_choice("zero_stage", self.zero_stage, (0, 1, 2, 3))
        _check_pipeline(self)
        _check_experts(self)
        _check_shards(self)
        if self.sequence_parallel and self.tensor_parallel == 1:
            raise UsageError("sequence_parallel divides tokens over tensor-parallel devices; tensor_parallel is 1")

    @property
    def devices(self) -> int:
        """Devices in use; experts and chunks take none of their own."""
        return self.data_parallel * self.tensor_parallel * self.pipeline_parallel * self.context_parallel

    @property
    def model_devices(self) -> int:
        """Devices that together hold one replica."""
        return self.tensor_parallel * self.pipeline_parallel * self.context_parallel

    @property
    def whole_layers(self) -> bool:
        """Whether every device computes its layers alone: nothing is sent within one."""
        return self.tensor_parallel == self.context_parallel == self.expert_parallel == 1

    @property
    def expert_tensor_parallel(self) -> int:
        """Devices that share each expert's products: the tensor-parallel ones unless experts are spread over them."""
        return self.tensor_parallel if self.sharers % self.expert_parallel == 0 else 1

    @property
    def expert_replicas(self) -> int:
        """Devices of one stage that hold the same experts."""
        return self.sharers * self.tensor_parallel // (self.expert_parallel * self.expert_tensor_parallel)

    @property
    def sharers(self) -> int:
        """Devices that hold the same part of the layers outside experts and sum their gradients."""
        return self.data_parallel * self.context_parallel

    @property
    def shards(self) -> int:
        """Devices among which ZeRO divides what it divides."""
        return self.sharding_group or self.sharers

    @property
    def inside(self) -> Parallelism:
        """The part of the split that changes what one device computes of one layer."""
        spread = self.sharers % self.expert_parallel == 0
        return Parallelism(
            data_parallel=self.expert_parallel if spread else self.data_parallel,
            tensor_parallel=self.tensor_parallel,
            context_parallel=self.context_parallel,
            expert_parallel=self.expert_parallel,
            zero_stage=3 if self.zero_stage == 3 else 0,
            sequence_parallel=self.sequence_parallel,
        )

    @property
    def chunks(self) -> int:
        """Pieces that the layers are cut into."""
        return self.pipeline_parallel * self.virtual_pipeline

    def micro_batches(self, global_batch_size: int, micro_batch_size: int) -> int:
        """Return the micro-batches that each replica puts through one step.

        Raises
        ------
        UsageError
            the batch leaves a remainder
        """
        unit = self.data_parallel * micro_batch_size
        if global_batch_size % unit:
            lower, upper = global_batch_size // unit * unit, -(-global_batch_size // unit) * unit
            nearest = lower if lower and global_batch_size - lower < upper - global_batch_size else upper
            raise UsageError(
                f"batch size {global_batch_size} over {self.data_parallel} replicas × micro-batch {micro_batch_size} "
                f"leaves a remainder. Nearest: {nearest}"
            )
        return global_batch_size // unit

    @property
    def besides_copies(self) -> tuple[str, ...]:
        """What it does besides running copies of the model, in few words."""
        named = (each for each in self._named() if not each.startswith(("DP ", "sequence ")))
        return tuple(each.replace("full checkpointing", "recompute") for each in named)

    def __str__(self) -> str:
        return " · ".join(self._named()) or "one device"

    def _named(self) -> list[str]:
        short = {"data": "DP", "tensor": "TP", "pipeline": "PP", "virtual": "VP", "context": "CP", "expert": "EP"}
        named = [f"{short[name.split('_')[0]]} {getattr(self, name)}" for name in DEGREES if getattr(self, name) > 1]
        over = f" over {self.sharding_group}" if self.sharding_group else ""
        named += [f"ZeRO {self.zero_stage}{over}"] if self.zero_stage else []
        if self.pipeline_parallel > 1:
            named += [self.schedule] + ["uneven stages"] * (not self.even_stages)
        named += ["sequence parallel"] if self.sequence_parallel else []
        kept = self.activation_checkpointing
        return named + ([f"{kept} checkpointing"] if kept != "none" else [])


def _check_degrees(split: Parallelism) -> None:
    for name in DEGREES:
        degree = getattr(split, name)
        if isinstance(degree, bool) or not isinstance(degree, int) or degree < 1:
            raise UsageError(f"{name} must be a positive whole number; given: {degree}")


def _check_choice(name: str, given: object, known: tuple[object, ...]) -> None:
    if given not in known:
        raise UsageError(f"{name} {given!r} is unknown. Use one of: {', '.join(map(str, known))}")


def _check_pipeline(split: Parallelism) -> None:
    if split.virtual_pipeline > 1 and (split.schedule != "interleaved" or split.pipeline_parallel == 1):
        raise UsageError(
            f"virtual_pipeline {split.virtual_pipeline} needs pipeline_parallel above 1 and schedule interleaved; "
            f"given: pipeline_parallel {split.pipeline_parallel}, schedule {split.schedule}"
        )


def _check_shards(split: Parallelism) -> None:
    group = split.sharding_group
    if isinstance(group, bool) or not isinstance(group, int) or group < 0 or (group and split.sharers % group):
        raise UsageError(
            f"sharding_group {group} must divide data × context parallel = {split.sharers}, or be 0 for all"
        )


def _check_experts(split: Parallelism) -> None:
    holders = split.sharers * split.tensor_parallel
    if holders % split.expert_parallel:
        raise UsageError(
            f"expert_parallel {split.expert_parallel} must divide data × context × tensor parallel = {holders}"
        )
