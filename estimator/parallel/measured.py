"""A measured case on many devices as the step that is predicted for it.

What a case leaves empty is taken as its software does by default, and only that: degrees that contradict the number of
devices, and words nobody knows, are refused by name.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Final, cast

from estimator.parallel.costs import Setting
from estimator.parallel.network import network_of, usual_system
from estimator.parallel.parallelism import Parallelism
from estimator.parallel.prepared import prepare
from estimator.parallel.routing import BALANCED
from estimator.parallel.stack import APEX, EARLY_MEGATRON, FIRST_MEGATRON, FSDP, MEGATRON, TORCH, XLA, Stack
from estimator.parallel.stage_memory import memory_of
from estimator.parallel.step import ParallelStep, parallel_step, step_s
from hardware_db import load
from hardware_db.errors import UsageError

if TYPE_CHECKING:
    from estimator.parallel.adjust import Adjustment
    from estimator.parallel.again import Result
    from estimator.parallel.network import Network
    from estimator.parallel.parallelism import Checkpointing
    from estimator.timing import TimeSettings
    from estimator.validation.cases import Case
    from hardware_db import Device
    from profiles.model_profile import ModelProfile

STACK_OF: Final[dict[str, Stack]] = {"megatron": MEGATRON, "xla": XLA}
"""Column `compile` -> what runs the step; all others run as PyTorch's DDP and FSDP do."""

LANGUAGE_MODEL_LIBRARIES: Final = ("llm-foundry", "decoupled_adamw", "fsdp full_shard")
"""Words of a case that was run by a library for language models on FSDP; decoupled AdamW is Composer's optimizer."""

APEX_LIBRARIES: Final = ("pytorch/languagemodeling/bert", "pytorch_bert_")
"""Words of a case that ran NVIDIA's BERT on its own data parallel (NVIDIA/DeepLearningExamples, run_squad.py)."""

JAX_LIBRARIES: Final = ("maxtext/", "paxml/", "maxtext ", "paxml ")
"""Words of a case that was run by a library on JAX, whatever the table that it stands in runs otherwise."""

MAXTEXT: Final = "maxtext"
"""A library that computes all of a layer again where nothing is said (MaxText, base.yml: remat_policy full)."""

HOLDS: Final = 1.15
"""A step whose predicted memory is more than this share of its device's did not run so: published peaks are within 15 %
of what is predicted nine times out of ten, and recipes that are known to compute nothing again come up to 1.09."""

POLICY: Final = re.compile(r"activation checkpointing: (\w+)(?: offload:([\w,]+))?")
"""How notes name a policy of MaxText (configs/base.yml, remat_policy), "custom" with what it keeps or offloads."""

POLICIES: Final[dict[str, tuple[Result, ...]]] = {
    "full": (),
    "custom": (),
    "save_qkv_proj": ("qkv",),
    "qkv_proj_offloaded": ("qkv",),
    "save_out_proj": ("out",),
    "save_dot_except_mlp": ("qkv", "out"),
    "save_dot_except_mlpwi": ("qkv", "out", "down"),
}
"""Policy -> results that it keeps; all else of a layer is computed again (MaxText, layers/decoders.py)."""

NAMED: Final[dict[str, Result]] = {
    "query_proj": "qkv",
    "qkv_proj": "qkv",
    "context": "attention",
    "out_proj": "out",
    "mlpwi": "up",
    "mlpwi_0": "up",
    "mlpwo": "down",
}
"""Names of results in MaxText's layers -> results."""


@dataclass(frozen=True, eq=False)
class Asked:
    """What `parallel_step` is asked for a case."""

    profile: ModelProfile
    split: Parallelism
    setting: Setting
    micro_batches: int

    def step(self, factors: Adjustment | None = None) -> ParallelStep:
        """Return the predicted step, with other factors of the software where they are given."""
        return parallel_step(self.profile, self.split, replace(self.setting, factors=factors), self.micro_batches)

    def seconds(self, factors: Adjustment) -> float:
        """Return the middle seconds of the step with these factors of the software."""
        return step_s(self.profile, self.split, replace(self.setting, factors=factors), self.micro_batches)


def asked_of_case(case: Case, profile: ModelProfile, device: Device, execution: TimeSettings) -> Asked:
    """Return what is asked for a case whose micro-batch the profile is.

    Raises
    ------
    UsageError
        the case contradicts itself, has a strategy nobody knows, or a link is unknown
    """
    if not case.training:
        raise UsageError("inference on several devices is not predicted")
    network = network_of(device, usual_system(load(), device), case.devices_per_node)
    stack = stack_of_case(case)
    split = split_of(case, stack, network)
    stack = replace(stack, keeps=_policy(case) or ())
    if stack in (TORCH, APEX):
        stack = replace(stack, execution=execution.execution)
    setting = Setting(device, network, stack, execution.memory_format, routing=BALANCED)
    asked = Asked(replace(profile, model=case.model), split, setting, _micro_batches(case, split))
    return asked if _states_checkpointing(case) else _that_fits(asked)


def stack_of_case(case: Case) -> Stack:
    """Return the software that ran a case, by its name where it says one, else by how it was compiled."""
    text = f"{case.source} {case.notes}".casefold()
    if case.compile == "eager" and any(name in text for name in LANGUAGE_MODEL_LIBRARIES):
        return FSDP
    if case.compile == "eager" and any(name in text for name in APEX_LIBRARIES):
        return APEX
    if case.compile != "eager" and any(name in text for name in JAX_LIBRARIES):
        return XLA
    early = case.compile == "megatron" and case.precision in FIRST_MEGATRON
    return EARLY_MEGATRON if early else STACK_OF.get(case.compile, TORCH)


def _that_fits(asked: Asked) -> Asked:
    """Return a step with everything computed again where it could not have run otherwise.

    Selective checkpointing saves next to nothing where attention is fused, so it is never what makes a step fit.
    """
    capacity = asked.setting.device.usable_memory_bytes
    if not capacity:
        return asked
    plan = prepare(asked.profile, asked.split, asked.setting, asked.micro_batches)
    held = max(memory_of(plan, stage).total_bytes for stage in range(asked.split.pipeline_parallel))
    again = replace(asked.split, activation_checkpointing="full")
    return asked if held <= HOLDS * capacity else replace(asked, split=again)


def split_of(case: Case, stack: Stack, network: Network) -> Parallelism:
    """Return how a case was split.

    Raises
    ------
    UsageError
        its degrees do not multiply to its devices, or a strategy is unknown
    """
    tensor, pipeline = case.tensor_parallel or 1, case.pipeline_parallel or 1
    context, virtual = case.context_parallel or 1, case.virtual_pipeline or 1
    replicas, rest = divmod(case.device_count, tensor * pipeline * context)
    if rest or (case.data_parallel or replicas) != replicas:
        raise UsageError(
            f"data {case.data_parallel} × tensor {tensor} × pipeline {pipeline} × context {context} parallel are not "
            f"its {case.device_count} devices"
        )
    interleaved = pipeline > 1 and virtual > 1
    later = stack is MEGATRON
    return _with_groups(
        Parallelism(
            data_parallel=replicas,
            tensor_parallel=tensor,
            pipeline_parallel=pipeline,
            virtual_pipeline=virtual if interleaved else 1,
            context_parallel=context,
            expert_parallel=case.expert_parallel or 1,
            zero_stage=int(later) if case.zero_stage is None else case.zero_stage,
            schedule="interleaved" if interleaved else "1f1b",
            sequence_parallel=tensor > 1 and later,
            activation_checkpointing=_checkpointing(case),
        ),
        network,
    )


def _with_groups(split: Parallelism, network: Network) -> Parallelism:
    """Sharding of several TPU slices stays inside each: between them only gradients go (MaxText's multislice)."""
    inside = network.joined // split.tensor_parallel
    sliced = network.shape.startswith("torus") and split.zero_stage == 3 and split.sharers > inside
    return replace(split, sharding_group=inside) if sliced and inside and split.sharers % inside == 0 else split


def _states_checkpointing(case: Case) -> bool:
    return bool(case.activation_checkpointing) or _checkpointing(case) != "none"


def _policy(case: Case) -> tuple[Result, ...] | None:
    """Results that a case's own policy keeps of layers that are computed again; None where it has no such policy."""
    found = POLICY.search(case.notes) if case.compile == "xla" else None
    if found is None or found[1] not in POLICIES:
        return None
    named = (found[2] or "").split(",")
    return (*POLICIES[found[1]], *dict.fromkeys(NAMED[name] for name in named if name in NAMED))


def _checkpointing(case: Case) -> Checkpointing:
    if _policy(case) is not None:
        return "full"
    usual = "full" if MAXTEXT in case.source.casefold() else "none"
    return cast("Checkpointing", case.activation_checkpointing or usual)


def _micro_batches(case: Case, split: Parallelism) -> int:
    if case.global_batch_size is None or case.micro_batch_size is None:
        raise UsageError("the global or the micro-batch size is not stated")
    return split.micro_batches(case.global_batch_size, case.micro_batch_size)
