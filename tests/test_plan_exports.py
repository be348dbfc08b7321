"""Exported plans are read by the software they are for, and hold the degrees of the plan."""

import math
import shlex
import tomllib
from functools import cache

import pytest

import hardware_db
from estimator.parallel.network import network_of, usual_system
from estimator.parallel.parallelism import Parallelism
from estimator.plan.exports import FORMATS, exported
from estimator.plan.job import Job, stack_for
from estimator.plan.search import Candidate, Found, evaluate
from hardware_db.errors import UsageError
from profiles.library import Question, find

SPLITS = {
    "sharded": Parallelism(data_parallel=16, zero_stage=3),
    "hybrid": Parallelism(data_parallel=16, zero_stage=3, sharding_group=8, activation_checkpointing="full"),
    "tensor": Parallelism(data_parallel=4, tensor_parallel=4, zero_stage=3, sequence_parallel=True),
    "pipeline": Parallelism(
        data_parallel=2, tensor_parallel=2, pipeline_parallel=4, virtual_pipeline=2, schedule="interleaved",
        zero_stage=1, sequence_parallel=True, activation_checkpointing="selective",
    ),
    "uneven": Parallelism(
        data_parallel=2, tensor_parallel=2, pipeline_parallel=4, schedule="1f1b", sequence_parallel=True,
        even_stages=False,
    ),
    "zero bubble": Parallelism(data_parallel=4, pipeline_parallel=4, schedule="zero_bubble", zero_stage=1),
    "zero 1": Parallelism(data_parallel=16, zero_stage=1),
    "gpipe": Parallelism(data_parallel=2, tensor_parallel=2, pipeline_parallel=4, schedule="gpipe",
                         sequence_parallel=True),
    "uneven gpipe": Parallelism(data_parallel=4, pipeline_parallel=4, schedule="gpipe", even_stages=False),
}  # fmt: skip


@cache
def job():
    database = hardware_db.load()
    device = database.device("h100-sxm")
    profile = find(Question("llama-3.1-8b", "train", "amp_bfloat16", "adamw", "cuda"), 1, 4096)
    network = network_of(device, usual_system(database, device))
    return Job(profile, device, network, stack_for(profile, device), 16, 64)


@cache
def found(name):
    plan = evaluate(job(), Candidate(SPLITS[name], 1))
    return Found((plan,), 1, 1, 1, 0.0)


def file_of(form, name):
    return exported(form, found(name), job())


@pytest.mark.parametrize("name", ["sharded", "hybrid", "tensor"])
def test_accelerate_reads_its_fsdp_file(name, tmp_path):
    config_args = pytest.importorskip("accelerate.commands.config.config_args")
    path = tmp_path / "plan.yaml"
    path.write_text(file_of("accelerate-fsdp", name), encoding="utf-8")
    read = config_args.load_config_from_file(str(path))
    split = SPLITS[name]
    assert (read.num_processes, read.num_machines, read.mixed_precision) == (16, 2, "bf16")
    sizes = read.parallelism_config
    assert sizes["parallelism_config_tp_size"] == split.tensor_parallel
    assert sizes["parallelism_config_dp_shard_size"] == (split.sharding_group or split.data_parallel)
    assert sizes["parallelism_config_dp_replicate_size"] == split.data_parallel // (
        split.sharding_group or split.data_parallel
    )
    assert read.fsdp_config["fsdp_activation_checkpointing"] is (split.activation_checkpointing == "full")


def test_accelerate_reads_its_deepspeed_file(tmp_path):
    config_args = pytest.importorskip("accelerate.commands.config.config_args")
    path = tmp_path / "plan.yaml"
    path.write_text(file_of("accelerate-deepspeed", "sharded"), encoding="utf-8")
    read = config_args.load_config_from_file(str(path))
    assert read.deepspeed_config["zero_stage"] == 3
    assert read.deepspeed_config["gradient_accumulation_steps"] == 64 // 16


def test_torchrun_parses_its_command():
    run = pytest.importorskip("torch.distributed.run")
    words = shlex.split(file_of("torchrun", "sharded"), comments=True)
    read = run.get_args_parser().parse_args(words[1:])
    assert (read.nnodes, read.nproc_per_node, read.training_script) == ("2", "8", "train.py")


def test_torchtitan_gets_degrees_that_multiply_to_the_devices():
    for name in ("sharded", "hybrid", "tensor", "pipeline"):
        read = tomllib.loads(file_of("torchtitan", name))
        degrees = [
            value for key, value in read["parallelism"].items() if key.endswith("degree") and "expert" not in key
        ]
        product = 1
        for degree in degrees:
            product *= degree
        assert product == 16
        assert read["training"]["global_batch_size"] == 64
    assert read["parallelism"]["pipeline_parallel_schedule"] == "Interleaved1F1B"
    assert read["parallelism"]["pipeline_parallel_microbatch_size"] == 1
    assert read["training"]["local_batch_size"] == 32
    assert read["activation_checkpoint"]["mode"] == "selective"


@pytest.mark.parametrize("name", [name for name in SPLITS if name not in ("zero bubble", "zero 1", "uneven gpipe")])
def test_torchtitan_takes_its_sections(name):
    configs = pytest.importorskip("torchtitan.config.configs")
    read = tomllib.loads(file_of("torchtitan", name))
    assert configs.TrainingConfig(**read["training"]).global_batch_size == 64
    parallel = configs.ParallelismConfig(**read["parallelism"])
    assert parallel.tensor_parallel_degree == SPLITS[name].tensor_parallel


def test_torchtitan_is_told_which_modules_each_chunk_has():
    """Its own way to deal layers takes one from the first and from the last stage."""
    for name, layers in (("pipeline", [4] * 8), ("uneven", [8, 9, 9, 6])):
        chunks = tomllib.loads(file_of("torchtitan", name))["parallelism"]["module_fqns_per_model_part"]
        assert [len([each for each in chunk if each.startswith("layers.")]) for chunk in chunks] == layers
        flat = [each for chunk in chunks for each in chunk]
        assert flat == ["tok_embeddings", *(f"layers.{at}" for at in range(32)), "norm", "lm_head"]


def test_megatron_reads_uneven_stages_as_a_layout():
    """E: embedding, t: a layer, L: head and loss, | between stages (Megatron-LM, --pipeline-model-parallel-layout)."""
    lines = file_of("megatron", "uneven").splitlines()
    assert "--pipeline-model-parallel-layout 'E{0}|{1}|{1}|{2}L'".format("t" * 8, "t" * 9, "t" * 6) in lines


def test_megatron_gets_its_flags():
    flags = dict(line.split(maxsplit=1) if " " in line else (line, None)
                 for line in file_of("megatron", "pipeline").splitlines()[1:])  # fmt: skip
    assert flags["--tensor-model-parallel-size"] == "2" and flags["--pipeline-model-parallel-size"] == "4"
    assert flags["--num-layers-per-virtual-pipeline-stage"] == "4"
    assert {"--sequence-parallel", "--use-distributed-optimizer", "--bf16"} <= flags.keys()
    assert flags["--recompute-granularity"] == "selective" and "--recompute-method" not in flags


@pytest.mark.parametrize("name", ["sharded", "hybrid", "tensor", "gpipe"])
def test_maxtext_gets_a_mesh_of_all_devices(name):
    """Axes inside of a machine multiply to its devices, those between machines to the machines."""
    read = dict(line.split(": ") for line in file_of("maxtext", name).splitlines()[1:])
    for level, devices in (("ici_", 8), ("dcn_", 2)):
        assert math.prod(int(value) for key, value in read.items() if key.startswith(level)) == devices
    assert float(read["per_device_batch_size"]) * 16 * int(read["gradient_accumulation_steps"]) == 64
    assert read["remat_policy"] == {"full": "full", "none": "none"}[SPLITS[name].activation_checkpointing]


def test_maxtext_keeps_a_pipeline_between_machines_and_feeds_it_micro_batches():
    read = dict(line.split(": ") for line in file_of("maxtext", "gpipe").splitlines()[1:])
    assert (read["dcn_pipeline_parallelism"], read["ici_pipeline_parallelism"]) == ("2", "2")
    assert (read["num_pipeline_microbatches"], read["num_layers_per_pipeline_stage"]) == ("32", "8")


@pytest.mark.parametrize(
    ("form", "name", "missing"),
    [
        ("torchtitan", "zero bubble", "no such schedule"),
        ("accelerate-fsdp", "pipeline", "no pipeline"),
        ("accelerate-deepspeed", "tensor", "no tensor parallelism"),
        ("maxtext", "pipeline", "no such schedule"),
        ("maxtext", "zero 1", "no such ZeRO stage"),
        ("maxtext", "uneven gpipe", "no uneven stages"),
    ],
)
def test_what_a_software_cannot_run_is_refused_by_name(form, name, missing):
    with pytest.raises(UsageError, match=missing):
        file_of(form, name)


@pytest.mark.parametrize("form", FORMATS)
def test_every_file_says_which_plan_it_is(form):
    assert file_of(form, "sharded").startswith("# DP 16 · ZeRO 3 on 16 x h100-sxm; the fastest\n")


@cache
def job_of_experts():
    database = hardware_db.load()
    device = database.device("h100-sxm")
    profile = find(Question("mixtral-8x7b", "train", "amp_bfloat16", "adamw", "cuda"), 1, 4096)
    return Job(profile, device, network_of(device, usual_system(database, device)), stack_for(profile, device), 16, 64)


@pytest.mark.parametrize(("replicas", "tensor", "shared"), [(8, 2, 2), (4, 4, 1)])
def test_files_say_whether_tensors_of_experts_are_divided(replicas, tensor, shared):
    """8 groups over 4 replicas take the devices that divide tensors elsewhere; over 8 replicas they do not."""
    split = Parallelism(replicas, tensor, expert_parallel=8, zero_stage=1, sequence_parallel=True)
    plans = Found((evaluate(job_of_experts(), Candidate(split, 1)),), 1, 1, 1, 0.0)
    assert f"--expert-tensor-parallel-size {shared}\n" in exported("megatron", plans, job_of_experts())
    read = tomllib.loads(exported("torchtitan", plans, job_of_experts()))
    assert read["parallelism"]["expert_tensor_parallel_degree"] == shared


@pytest.mark.parametrize("form", ["torchtitan", "megatron", "maxtext"])
def test_software_for_language_models_gets_no_images(form):
    database = hardware_db.load()
    device = database.device("h100-sxm")
    profile = find(Question("resnet50", "train", "amp_bfloat16", "adamw", "cuda"), 1, None)
    images = Job(profile, device, network_of(device, usual_system(database, device)), stack_for(profile, device), 8, 64)
    with pytest.raises(UsageError, match=f"{form} trains language models; resnet50 has no sequence"):
        exported(form, found("sharded"), images)
