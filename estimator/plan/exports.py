"""Plans as the files that people train with.

Names of fields: torchtitan `config/job_config.py`; Accelerate `commands/config/config_args.py`; Megatron-LM
`training/arguments.py`; MaxText `configs/base.yml`; torchrun `torch/distributed/run.py`.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from itertools import accumulate
from math import gcd
from typing import TYPE_CHECKING, Final

from estimator.parallel.layout import layout_of
from hardware_db.errors import UsageError

if TYPE_CHECKING:
    from estimator.parallel.parallelism import Parallelism
    from estimator.plan.job import Job
    from estimator.plan.search import Found, Plan

Value = str | int | bool | list[list[str]]
Section = Mapping[str, Value]

SCHEDULES: Final = {"1f1b": "1F1B", "interleaved": "Interleaved1F1B", "gpipe": "GPipe"}
SHORT: Final = {"amp_bfloat16": "bf16", "bfloat16": "bf16", "amp_float16": "fp16", "float16": "fp16", "float8": "fp8"}
MAXTEXT_DTYPES: Final = {"bf16": "bfloat16", "fp16": "float16", "no": "float32", "fp8": "bfloat16"}
REMAT: Final = {"none": "none", "selective": "minimal", "full": "full"}
SHARDING: Final = {2: "optim_grads", 3: "optim_grads_params"}


@dataclass(frozen=True, eq=False)
class Exported:
    """One plan of a job to be written."""

    plan: Plan
    job: Job

    @property
    def split(self) -> Parallelism:
        """Its split."""
        return self.plan.split

    @property
    def precision(self) -> str:
        """Mixed precision in one word: bf16, fp16, fp8 or no."""
        return SHORT.get(self.job.profile.precision, "no")

    @property
    def machines(self) -> tuple[int, int]:
        """Machines, and processes on each."""
        inside = min(self.job.count, self.job.network.nodes_of)
        return -(-self.job.count // inside), inside

    @property
    def local_batch(self) -> int:
        """Samples of one replica in a step."""
        return self.job.global_batch_size // self.split.data_parallel


def exported(form: str, found: Found, job: Job) -> str:
    """Return the fastest of the plans that a software can run, as its file.

    Raises
    ------
    UsageError
        it can run none of them, or trains language models alone
    """
    reasons = []
    if form in LANGUAGE_ONLY and job.profile.sequence_length is None:
        raise UsageError(f"{form} trains language models; {job.profile.model} has no sequence")
    for plan in found.plans:
        missing = [LACKS[name] for name, values in RUNS[form].items() if not _among(plan.split, name, values)]
        if not missing:
            slower = plan.seconds / found.plans[0].seconds - 1
            first = f"the fastest that {form} runs" if job.asked.among else "the fastest"
            said = first if plan is found.plans[0] else f"{100 * slower:.1f} % slower than the fastest"
            devices = f"{job.count // job.network.parts} x {job.device.id}"
            return f"# {plan.split or 'one device'} on {devices}; {said}\n" + FORMATS[form](Exported(plan, job))
        reasons.append(f"{plan.split}: no {missing[0]}")
    raise UsageError(f"{form} runs none of the plans found ({'; '.join(reasons[:2])})")


def _among(split: Parallelism, name: str, values: tuple[object, ...]) -> bool:
    """Whether a field has one of the values; a schedule and a deal of layers matter to a pipeline alone."""
    piped = split.pipeline_parallel > 1 or name not in ("schedule", "even_stages")
    return not piped or getattr(split, name) in values


def _toml(sections: Mapping[str, Section]) -> str:
    def lines(section: Section) -> str:
        return "".join(f"{name} = {_toml_value(value)}\n" for name, value in section.items())

    return "\n".join(f"[{name}]\n{lines(section)}" for name, section in sections.items())


def _toml_value(value: Value) -> str:
    return json.dumps(value)


def _yaml(fields: Mapping[str, Value | Section], indent: str = "") -> str:
    text = ""
    for name, value in fields.items():
        if isinstance(value, Mapping):
            text += f"{indent}{name}:\n{_yaml(value, indent + '  ')}"
        else:
            text += f"{indent}{name}: {str(value).lower() if isinstance(value, bool) else value}\n"
    return text


def _torchrun(at: Exported) -> str:
    machines, each = at.machines
    rendezvous = "--rdzv-backend c10d --rdzv-endpoint $HEAD_NODE:29500" if machines > 1 else "--standalone"
    return f"torchrun --nnodes {machines} --nproc-per-node {each} {rendezvous} train.py\n"


def _torchtitan(at: Exported) -> str:
    split = at.split
    shards = split.data_parallel if split.zero_stage else 1
    if split.sharding_group:
        shards = max(1, split.sharding_group // split.context_parallel)
    parallel: dict[str, Value] = {
        "data_parallel_replicate_degree": split.data_parallel // shards,
        "data_parallel_shard_degree": shards,
        "fsdp_reshard_after_forward": "always" if split.zero_stage == 3 else "never",
        "tensor_parallel_degree": split.tensor_parallel,
        "context_parallel_degree": split.context_parallel,
        "expert_parallel_degree": split.expert_parallel,
        "pipeline_parallel_degree": split.pipeline_parallel,
    }
    if layout_of(at.job.profile).has_experts:
        parallel["expert_tensor_parallel_degree"] = split.expert_tensor_parallel
    piped = split.pipeline_parallel > 1
    if piped:
        parallel["module_fqns_per_model_part"] = _modules_of_chunks(at)
        parallel["pipeline_parallel_schedule"] = SCHEDULES[split.schedule]
        parallel["pipeline_parallel_microbatch_size"] = at.plan.step.micro_batch_size
    training: dict[str, Value] = {
        "local_batch_size": at.local_batch if piped else at.plan.step.micro_batch_size,
        "global_batch_size": at.job.global_batch_size,
        "seq_len": at.job.profile.sequence_length or 1,
    }
    mode = split.activation_checkpointing
    return _toml({"training": training, "parallelism": parallel, "activation_checkpoint": {"mode": mode}})


def _modules_of_chunks(at: Exported) -> list[list[str]]:
    """Names of the modules of each chunk; torchtitan's own way to deal layers takes one from the first and the last."""
    ends = list(accumulate(at.plan.step.chunk_layers))
    names = [f"layers.{layer}" for layer in range(ends[-1])]
    found = [names[start:end] for start, end in zip([0, *ends], ends, strict=False)]
    found[0] = ["tok_embeddings", *found[0]]
    found[-1] = [*found[-1], "norm", "lm_head"]
    return found


def _accelerate(at: Exported, kind: str, config: Mapping[str, Value | Section]) -> str:
    machines, _ = at.machines
    return _yaml({
        "compute_environment": "LOCAL_MACHINE", "distributed_type": kind, "debug": False,
        "mixed_precision": at.precision, "num_machines": machines, "num_processes": at.job.count, "machine_rank": 0,
        "rdzv_backend": "static", "same_network": True, "main_training_function": "main", "use_cpu": False, **config,
    })  # fmt: skip


def _accelerate_fsdp(at: Exported) -> str:
    split = at.split
    fsdp: dict[str, Value] = {
        "fsdp_version": 2,
        "fsdp_reshard_after_forward": split.zero_stage == 3,
        "fsdp_auto_wrap_policy": "TRANSFORMER_BASED_WRAP",
        "fsdp_state_dict_type": "SHARDED_STATE_DICT",
        "fsdp_activation_checkpointing": split.activation_checkpointing == "full",
        "fsdp_cpu_ram_efficient_loading": True,
        "fsdp_offload_params": False,
    }
    shards = split.sharding_group or split.data_parallel
    sizes: dict[str, Value] = {
        "parallelism_config_dp_replicate_size": split.data_parallel // shards,
        "parallelism_config_dp_shard_size": shards,
        "parallelism_config_tp_size": split.tensor_parallel,
        "parallelism_config_cp_size": split.context_parallel,
    }
    return _accelerate(at, "FSDP", {"fsdp_config": fsdp, "parallelism_config": sizes})


def _accelerate_deepspeed(at: Exported) -> str:
    config: dict[str, Value] = {
        "zero_stage": at.split.zero_stage,
        "gradient_accumulation_steps": at.plan.step.micro_batches,
        "offload_optimizer_device": "none",
        "offload_param_device": "none",
        "zero3_init_flag": at.split.zero_stage == 3,
    }
    return _accelerate(at, "DEEPSPEED", {"deepspeed_config": config})


def _megatron(at: Exported) -> str:
    split, step = at.split, at.plan.step
    flags: dict[str, Value] = {
        "tensor-model-parallel-size": split.tensor_parallel,
        "pipeline-model-parallel-size": split.pipeline_parallel,
        "context-parallel-size": split.context_parallel,
        "expert-model-parallel-size": split.expert_parallel,
        "micro-batch-size": step.micro_batch_size,
        "global-batch-size": at.job.global_batch_size,
        "seq-length": at.job.profile.sequence_length or 1,
        "sequence-parallel": split.sequence_parallel,
        "use-distributed-optimizer": split.zero_stage > 0,
        "overlap-grad-reduce": split.zero_stage > 0,
        "overlap-param-gather": split.zero_stage > 0,
        "use-megatron-fsdp": split.zero_stage > 1,
        "bf16": at.precision in ("bf16", "fp8"),
        "fp16": at.precision == "fp16",
    }
    if layout_of(at.job.profile).has_experts:
        flags["expert-tensor-parallel-size"] = split.expert_tensor_parallel
    if not split.even_stages:
        flags["pipeline-model-parallel-layout"] = f"'{_layout(at)}'"
    elif split.virtual_pipeline > 1:
        flags["num-layers-per-virtual-pipeline-stage"] = layout_of(at.job.profile).blocks.count // split.chunks
    if split.zero_stage in SHARDING:
        flags |= {"data-parallel-sharding-strategy": SHARDING[split.zero_stage], "ckpt-format": "fsdp_dtensor"}
        flags["no-gradient-accumulation-fusion"] = True
    if at.precision == "fp8":
        flags["fp8-format"] = "hybrid"
    if split.activation_checkpointing != "none":
        flags["recompute-granularity"] = split.activation_checkpointing
    if split.activation_checkpointing == "full":
        flags |= {"recompute-method": "uniform", "recompute-num-layers": 1}
    given = [
        f"--{name}" if value is True else f"--{name} {value}" for name, value in flags.items() if value is not False
    ]
    return "".join(f"{flag}\n" for flag in given)


def _layout(at: Exported) -> str:
    """Layers of each chunk as Megatron-LM reads them: E embedding, t a layer, L head and loss, | between chunks."""
    words = ["t" * size for size in at.plan.step.chunk_layers]
    return "|".join(["E" + words[0], *words[1:-1], words[-1] + "L"])


def _maxtext(at: Exported) -> str:
    split = at.split
    piped, micro_batches = split.pipeline_parallel > 1, at.plan.step.micro_batches
    accumulated = 1 if piped else micro_batches
    fields: dict[str, Value] = {
        "per_device_batch_size": f"{at.job.global_batch_size / (at.job.count * accumulated):g}",
        "gradient_accumulation_steps": accumulated,
        "max_target_length": at.job.profile.sequence_length or 1,
        **_mesh(at),
        "remat_policy": REMAT[split.activation_checkpointing],
        "dtype": MAXTEXT_DTYPES[at.precision],
    }
    if piped:
        layers = layout_of(at.job.profile).blocks.count // split.pipeline_parallel
        fields |= {"num_layers_per_pipeline_stage": layers, "num_pipeline_microbatches": micro_batches}
    return _yaml(fields)


def _mesh(at: Exported) -> dict[str, Value]:
    """Axes of MaxText's mesh: slices (MaxText's dcn) take pipeline, then replicas, then shards; chips of one the rest.

    Experts take their own axis out of that of the shards, or of the replicas where nothing is sharded.
    """
    split = at.split
    shards = (split.sharding_group or split.sharers) // split.context_parallel if split.zero_stage == 3 else 1
    degrees = {"pipeline": split.pipeline_parallel, "data": split.data_parallel // shards, "fsdp": shards}
    holder = next((name for name in ("fsdp", "data") if degrees[name] % split.expert_parallel == 0), None)
    if holder is None:
        raise UsageError(f"maxtext: {split.expert_parallel} devices with other experts do not divide {split}")
    degrees[holder] //= split.expert_parallel
    slices = -(-at.job.count // at.job.network.joined)
    axes: dict[str, Value] = {}
    for name, degree in degrees.items():
        across = gcd(degree, slices)
        slices //= across
        axes |= {f"dcn_{name}_parallelism": across, f"ici_{name}_parallelism": degree // across}
    inside = {"tensor": split.tensor_parallel, "context": split.context_parallel, "expert": split.expert_parallel}
    return axes | {f"ici_{name}_parallelism": degree for name, degree in inside.items()}


Runs = Mapping[str, tuple[object, ...]]
SCHEDULED: Final[Runs] = {"schedule": ("1f1b", "interleaved")}
DATA_ONLY: Final[Runs] = {"pipeline_parallel": (1,), "expert_parallel": (1,)}
RUNS: Final[Mapping[str, Runs]] = {
    "torchrun": {},
    "torchtitan": {"schedule": tuple(SCHEDULES)},
    "accelerate-fsdp": {**DATA_ONLY, "zero_stage": (2, 3)},
    "accelerate-deepspeed": {**DATA_ONLY, "tensor_parallel": (1,), "context_parallel": (1,)},
    "megatron": SCHEDULED,
    "maxtext": {"schedule": ("gpipe",), "even_stages": (True,), "zero_stage": (0, 3)},
}
"""Format -> the values that its software has of some fields of a split; all of the others."""

LANGUAGE_ONLY: Final = ("torchtitan", "megatron", "maxtext")
"""Formats of software that trains models of sequences."""

LACKS: Final = {
    "schedule": "such schedule", "even_stages": "uneven stages", "zero_stage": "such ZeRO stage",
    "pipeline_parallel": "pipeline", "expert_parallel": "expert parallelism", "tensor_parallel": "tensor parallelism",
    "context_parallel": "context parallelism",
}  # fmt: skip
"""Field -> what software without the value lacks."""

FORMATS: Final[Mapping[str, Callable[[Exported], str]]] = {
    "torchrun": _torchrun,
    "torchtitan": _torchtitan,
    "accelerate-fsdp": _accelerate_fsdp,
    "accelerate-deepspeed": _accelerate_deepspeed,
    "megatron": _megatron,
    "maxtext": _maxtext,
}
"""Format -> how it is written."""
