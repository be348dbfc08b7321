"""What a step is to be run with, where that differs from how the profile was recorded."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final, Literal

from hardware_db.errors import UsageError

Checkpointing = Literal["none", "selective", "full"]
CHECKPOINTINGS: Final[tuple[Checkpointing, ...]] = ("none", "selective", "full")
Offloaded = Literal["optimizer", "activations"]
ZERO_STAGES: Final = (0, 1, 2, 3)


@dataclass(frozen=True, slots=True)
class MemorySettings:
    """How a step is run on one of `replicas` devices.

    Attributes
    ----------
    optimizer
        name of an optimizer (`estimator.memory.states.OPTIMIZERS`); None: the profile's
    checkpointing
        "none": all that the backward pass needs is kept. "full": of every repeated layer the input is kept and the rest
        computed again (Chen et al., 2016, arXiv:1604.06174). "selective": results of matrix products are kept too, what
        is cheap is computed again (Korthikanti et al., 2022, arXiv:2205.05198)
    checkpointed_blocks
        only these blocks are checkpointed, each its own way: (module path, "selective" or "full"); `checkpointing`
        is "none" then. Which are cheapest for a memory: `estimator.fit.cheapest_blocks`
    accumulates
        gradients of several micro-batches are added up, so that all of them live through the whole step
    replicas
        devices that each run their own samples
    zero_stage
        what is divided over the replicas: 1 the optimizer's states, 2 also gradients, 3 also parameters (Rajbhandari et
        al., 2020, arXiv:1910.02054; FSDP's FULL_SHARD is 3, its SHARD_GRAD_OP 2)
    shard_group
        devices over which that is divided; each group holds a whole copy (hybrid sharding: FSDP's HYBRID_SHARD, Zhao et
        al., 2023, arXiv:2304.11277). None: over all replicas
    gathers_once
        ZeRO 2 as FSDP2 runs it (reshard_after_forward=False): parameters are divided too between steps, gathered in the
        forward pass and freed layer by layer on the way back. Else all are kept through the step, as DeepSpeed does
    offloaded
        what lies in host memory: "optimizer" states, "activations" kept for the backward pass
    chunked_loss
        the loss and its gradient are computed for a part of the tokens at a time (`estimator.memory.loss.CHUNKS` parts)
    fused_attention
        attention that was recorded as products and softmax runs as a fused kernel (`estimator.memory.attention`)
    compiled
        layers are compiled: what is cheap to compute again is not kept (`compiled` of `parameters.csv`)
    more_layers
        repeated layers that the model has more than recorded; negative: fewer
    optimizer_in_backward
        each gradient is used and freed as soon as it is there (not with accumulation)
    lora_rank
        all weights are frozen and linear layers get trained matrices of this rank (Hu et al., 2021, arXiv:2106.09685)
    weight_bits
        bits of a frozen weight in the layers, scales included (QLoRA: 4.127; Dettmers et al., 2023, arXiv:2305.14314)
    """

    optimizer: str | None = None
    checkpointing: Checkpointing = "none"
    checkpointed_blocks: tuple[tuple[str, Checkpointing], ...] = ()
    accumulates: bool = False
    replicas: int = 1
    zero_stage: int = 0
    shard_group: int | None = None
    gathers_once: bool = False
    offloaded: tuple[Offloaded, ...] = ()
    chunked_loss: bool = False
    fused_attention: bool = False
    compiled: bool = False
    more_layers: int = 0
    optimizer_in_backward: bool = False
    lora_rank: int | None = None
    weight_bits: float | None = None

    def __post_init__(self) -> None:
        _require("checkpointing", self.checkpointing, CHECKPOINTINGS)
        _require("zero_stage", self.zero_stage, ZERO_STAGES)
        for name in ("replicas", "lora_rank"):
            value = getattr(self, name)
            if value is not None and value < 1:
                raise UsageError(f"{name} must be 1 or more; given: {value}")
        if self.shard_group is not None and (self.shard_group < 1 or self.replicas % self.shard_group):
            raise UsageError(f"shard_group {self.shard_group} must divide the {self.replicas} replicas")
        if self.gathers_once and self.zero_stage != 2:
            raise UsageError(f"gathers_once is for ZeRO 2; given: ZeRO {self.zero_stage}")
        if self.weight_bits is not None and self.lora_rank is None:
            raise UsageError("weight_bits is for frozen weights: give lora_rank too")
        for _, how in self.checkpointed_blocks:
            _require("checkpointed_blocks", how, CHECKPOINTINGS[1:])
        if self.checkpointed_blocks and self.checkpointing != "none":
            raise UsageError("checkpointing is for all blocks, checkpointed_blocks for some: give one of them")
        if self.optimizer_in_backward and self.accumulates:
            raise UsageError("An optimizer that steps inside the backward pass cannot add up gradients first")

    @property
    def recomputes(self) -> bool:
        """Whether anything is computed again in the backward pass."""
        return self.checkpointing != "none" or bool(self.checkpointed_blocks)

    @property
    def shards(self) -> int:
        """Devices over which states are divided."""
        return (self.shard_group or self.replicas) if self.zero_stage else 1

    @property
    def divides_parameters(self) -> bool:
        """Whether parameters are divided between steps."""
        return self.shards > 1 and (self.zero_stage == 3 or self.gathers_once)


def _require(name: str, given: object, allowed: tuple[object, ...]) -> None:
    if given not in allowed:
        raise UsageError(f"{name} is {given!r}; it must be one of {', '.join(map(str, allowed))}")
