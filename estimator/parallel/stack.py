"""The software that runs a split step: what it overlaps, what it keeps, and how it executes operations."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Final

from estimator.timing import EXECUTION, Execution

if TYPE_CHECKING:
    from estimator.parallel.again import Result
    from estimator.parallel.parallelism import Schedule
    from hardware_db import Device


@dataclass(frozen=True, slots=True)
class Stack:
    """How a family of frameworks runs a split training step.

    Attributes
    ----------
    name
        for messages
    execution
        how operations are executed, see `estimator.timing`
    wire_gradient_bytes, kept_gradient_bytes
        bytes of a gradient in collectives and in memory, where 16-bit weights have float32 copies; else as the weight
    keeps_masters
        whether 16-bit weights have float32 copies, states and gradients even where the profile has none
    fused_optimizer
        whether the optimizer reads and writes each of its tensors once, and gradients are added up by the products
    overlaps_gradients
        ZeRO stages at which gradients are sent while the backward pass still runs
    fused_layers
        whether layers keep only what their fused kernels need for the backward pass
    half_weights
        ZeRO stages at which mixed precision computes in 16-bit copies of the weights, made once a step, instead of
        casting at every operation (autocast)
    zero_stages
        ZeRO stages that it has
    fused_attention
        whether attention keeps its scores on the chip, also where the model's own definition writes them to memory
    copies_shards
        whether gathered parameters and scattered gradients are copied out of and into buffers operation by operation;
        where factors were fitted to steps, they have that in them
    half_wire
        whether gradients of mixed precision travel in 16 bits where weights are recorded in 32
    schedules
        schedules of a pipeline that it has
    recomputes_unneeded
        whether full checkpointing computes all of a layer again, not only what its backward pass needs
    windows
        whether its attention is told how many tokens a layer looks back, where PyTorch takes a mask
    keeps
        results of a layer that its full checkpointing keeps all the same
    """

    name: str
    execution: Execution
    wire_gradient_bytes: int
    kept_gradient_bytes: int
    keeps_masters: bool
    fused_optimizer: bool
    overlaps_gradients: tuple[int, ...]
    fused_layers: bool
    half_weights: tuple[int, ...]
    zero_stages: tuple[int, ...] = (0, 1, 2, 3)
    fused_attention: bool = False
    copies_shards: bool = False
    half_wire: bool = False
    schedules: tuple[Schedule, ...] = ("1f1b", "interleaved")
    recomputes_unneeded: bool = True
    windows: bool = False
    keeps: tuple[Result, ...] = ()


TORCH: Final = Stack("PyTorch", "eager", 4, 4, False, False, (0, 1, 2, 3), False, (3,), copies_shards=True)
"""DDP and FSDP (docs.pytorch.org/docs/stable/fsdp.html): gradients reduced in float32 unless asked for otherwise."""

APEX: Final = replace(TORCH, name="PyTorch apex", overlaps_gradients=(), half_wire=True)
"""NVIDIA's own data parallel of before `torch.amp` (github.com/NVIDIA/apex, opt level O2): 16-bit gradients; BERT of
NVIDIA/DeepLearningExamples sums them after the backward pass (run_pretraining.py, --allreduce_post_accumulation), and
where it asks for overlap they show as well (gradients of BERT-large take what their links need)."""

FSDP: Final = Stack(
    "PyTorch FSDP",
    "megatron",
    4,
    4,
    True,
    False,
    (0, 1, 2, 3),
    False,
    (0, 1, 2, 3),
    fused_attention=True,
    windows=True,
)
"""Libraries for language models on FSDP (LLM Foundry, Composer): FlashAttention, fused activations and norms."""

MEGATRON: Final = Stack(
    "Megatron", "megatron", 2, 4, True, True, (1, 2, 3), True, (0, 1, 2, 3), fused_attention=True, windows=True
)
"""Megatron-LM and NeMo: float32 main gradients, fused Adam; overlap came with the distributed optimizer
(github.com/NVIDIA/Megatron-LM, --overlap-grad-reduce)."""

FIRST_MEGATRON: Final = ("amp_float16", "float16")
"""Precisions of Megatron-LM before FlashAttention (Dao et al., 2022), and before the distributed optimizer and sequence
parallelism (Korthikanti et al., 2022) became its usual choice; later runs are in bfloat16 or float8."""

EARLY_MEGATRON: Final = replace(MEGATRON, fused_attention=False)
"""Megatron-LM before FlashAttention (Shoeybi et al., 2019; Narayanan et al., 2021): scores go through memory."""

XLA: Final = Stack(
    "XLA", "graph", 2, 4, True, True, (0, 1, 2, 3), True, (0, 1, 2, 3),
    zero_stages=(0, 1, 3), schedules=("gpipe",), recomputes_unneeded=False, windows=True,
)  # fmt: skip
"""JAX on TPUs and GPUs: one compiled graph; gradients are reduced in the type of the activations (bfloat16). States
divided over data parallel devices, or parameters as well (MaxText, shard_optimizer_over_data and fsdp axes). A pipeline
is a loop that is differentiated as a whole: all passes forward, then all backward (MaxText, layers/pipeline.py)."""

STACKS: Final = {stack.name.casefold(): stack for stack in (TORCH, FSDP, MEGATRON, XLA)}


def usual_stack(device: Device, model_parallel: bool) -> Stack:
    """Return what such a step is usually run with: XLA on TPUs, Megatron where layers are split, else PyTorch.

    Megatron's kernels are for accelerators: CPUs run PyTorch.
    """
    if device.kind == "tpu":
        return XLA
    return MEGATRON if model_parallel and device.kind != "cpu" else TORCH


def own_stack(device: Device, compiled: bool) -> Stack:
    """Return what runs a model that nobody splits: a compiled graph where the device needs one, else PyTorch."""
    if device.kind == "tpu":
        return XLA
    return replace(TORCH, execution=EXECUTION.get(device.kind, "inductor" if compiled else "eager"))
