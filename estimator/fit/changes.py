"""What can be changed about a step so that it holds less, one change at a time."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any, Final

from estimator.memory import MemorySettings
from estimator.memory.attention import written_out

if TYPE_CHECKING:
    from profiles.model_profile import ModelProfile

LORA_RANK: Final = 16
QLORA_BITS: Final = 4.127
"""Bits of a weight in NF4 with doubly quantised scales (Dettmers et al., 2023, arXiv:2305.14314, section 3)."""


@dataclass(frozen=True)
class Change:
    """One change.

    Attributes
    ----------
    label
        as shown
    group
        of the changes of a group only one can be made
    fields
        what it sets in `MemorySettings`
    profile
        another recording of the model that it stands for; None: the same
    replicas
        fewest devices that it needs
    note
        what the reader should know: what it does to training, what is an estimate
    combines
        whether it is tried together with others
    """

    label: str
    group: str
    fields: dict[str, Any] = field(default_factory=dict, hash=False)
    profile: int | None = None
    replicas: int = 1
    note: str = ""
    combines: bool = True

    def apply(self, settings: MemorySettings) -> MemorySettings:
        """Return the settings with the change made."""
        offloaded = (*settings.offloaded, *self.fields.get("offloaded", ()))
        return replace(settings, **{**self.fields, "offloaded": offloaded})


_CHUNKS: Final = "loss in chunks: torchtune's chunked or Liger's fused cross entropy"
_BYTES: Final = "8-bit AdamW: states of a byte, nearly the same result"
_AT_ONCE: Final = "optimizer in backward: no clipping by the norm, no accumulation"
_OTHER: Final = "Lion, Adafactor: other optimizers, with other learning rates"
_ADAPTERS: Final = "LoRA, QLoRA: only adapters are trained; activations are taken as recorded, an estimate"

_ONCE: Final = "FSDP gathered once"
_FREED: Final = (
    "FSDP gathered once: reshard_after_forward=False (SHARD_GRAD_OP); ZeRO 2 keeps all parameters, as DeepSpeed does"
)
_HYBRID: Final = "groups: each holds a whole copy (HYBRID_SHARD); parameters are gathered within a machine"

_FUSED: Final = "fused attention: flash or memory-efficient, the same result; without what attention has of its own"

CHANGES: Final = (
    Change("fused attention", "attention", {"fused_attention": True}, note=_FUSED),
    Change(
        "loss in chunks",
        "loss",
        {"chunked_loss": True},
        note=_CHUNKS,
    ),
    Change("selective checkpointing", "checkpointing", {"checkpointing": "selective"}),
    Change("full checkpointing", "checkpointing", {"checkpointing": "full"}),
    Change("fused AdamW", "optimizer", {"optimizer": "adamw-fused"}, note="fused AdamW: the same result"),
    Change(
        "8-bit AdamW",
        "optimizer",
        {"optimizer": "adamw-8bit"},
        note=_BYTES,
    ),
    Change("Lion", "optimizer", {"optimizer": "lion"}, note=_OTHER),
    Change("Adafactor", "optimizer", {"optimizer": "adafactor"}, note=_OTHER),
    Change(
        "optimizer in backward",
        "step",
        {"optimizer_in_backward": True},
        note=_AT_ONCE,
    ),
    Change("optimizer on the host", "place", {"offloaded": ("optimizer",)}),
    Change("activations on the host", "activations", {"offloaded": ("activations",)}),
    Change("ZeRO 1", "zero", {"zero_stage": 1}, replicas=2),
    Change("ZeRO 2", "zero", {"zero_stage": 2}, replicas=2),
    Change(_ONCE, "zero", {"zero_stage": 2, "gathers_once": True}, replicas=2, note=_FREED, combines=False),
    Change("ZeRO 3 / FSDP", "zero", {"zero_stage": 3}, replicas=2),
    Change(f"LoRA rank {LORA_RANK}", "adapters", {"lora_rank": LORA_RANK}, note=_ADAPTERS),
    Change(f"QLoRA rank {LORA_RANK}", "adapters", {"lora_rank": LORA_RANK, "weight_bits": QLORA_BITS}, note=_ADAPTERS),
)

EXCLUDED: Final = (
    frozenset({"adapters", "zero"}),
    frozenset({"adapters", "step"}),
    frozenset({"zero", "step"}),
    frozenset({"place", "step"}),
    frozenset({"place", "optimizer"}),
)
"""Pairs of groups whose changes are not combined: they do not work together, or together they gain next to nothing."""


def changes_for(profiles: Sequence[ModelProfile], now: MemorySettings, machine: int | None = None) -> list[Change]:
    """Return the changes that make sense for a model; `profiles[0]` and `now` are how it runs.

    `machine` is how many devices one machine has; None where that is unknown.
    """
    base = profiles[0]
    possible = (*CHANGES, *_hybrid(now.replicas, machine))
    fixed = [change for change in possible if change.replicas <= now.replicas and _suits(change, base, now)]
    others = [
        Change(_difference(base, other), "recording", profile=number)
        for number, other in enumerate(profiles)
        if number and _difference(base, other)
    ]
    return [*others, *fixed]


def _hybrid(replicas: int, machine: int | None) -> tuple[Change, ...]:
    """Hybrid sharding within each of several machines."""
    if machine is None or not 1 < machine < replicas or replicas % machine:
        return ()
    fields = {"zero_stage": 3, "shard_group": machine}
    return (Change(f"FSDP in groups of {machine}", "zero", fields, note=_HYBRID),)


def _suits(change: Change, profile: ModelProfile, now: MemorySettings) -> bool:
    if profile.mode != "train":
        return False
    if "fused_attention" in change.fields:
        return written_out(profile)
    if "lora_rank" in change.fields:
        return profile.trainable_parameters == profile.parameters
    return change.fields.get("optimizer") != (now.optimizer or profile.optimizer)


def _difference(base: ModelProfile, other: ModelProfile) -> str:
    """What distinguishes another recording, in words."""
    words = [getattr(other, name) for name in ("precision", "optimizer") if getattr(base, name) != getattr(other, name)]
    return ", ".join(words) or (other.model if other.model != base.model else "")


def combined(changes: Sequence[Change], settings: MemorySettings) -> MemorySettings:
    """Return the settings with all changes made."""
    for change in changes:
        settings = change.apply(settings)
    return settings


def go_together(changes: Sequence[Change]) -> bool:
    """Whether no two changes exclude each other."""
    groups = [change.group for change in changes]
    pairs = [frozenset({a, b}) for at, a in enumerate(groups) for b in groups[at + 1 :]]
    return len(set(groups)) == len(groups) and not any(pair in EXCLUDED for pair in pairs)
