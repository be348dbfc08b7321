"""Measured cases on many devices become steps: what is stated is taken, what contradicts is refused by name."""

from functools import cache

import pytest

import hardware_db
from estimator.parallel.measured import asked_of_case, split_of, stack_of_case
from estimator.parallel.network import network_of, usual_system
from estimator.parallel.running import without_autocast
from estimator.parallel.stack import APEX, EARLY_MEGATRON, FSDP, MEGATRON, TORCH, XLA
from estimator.timing import TimeSettings
from estimator.validation import floors
from estimator.validation.cases import Case
from estimator.validation.prediction import predict_case
from hardware_db.errors import UsageError
from profiles.library import Question, find

DATABASE = hardware_db.load()
H100 = DATABASE.device("h100-sxm")
NODE = network_of(H100, usual_system(DATABASE, H100))


@pytest.fixture(autouse=True)
def _floors_do_not_matter_here(monkeypatch):
    monkeypatch.setattr(floors, "usual_utilisation", lambda: {floors.GENERAL: 0.4})


@cache
def llama(precision="amp_bfloat16"):
    return find(Question("llama-3.1-8b", "train", precision, "adamw", "cuda"), 1, 4096)


def case(**changes):
    stated = {
        "case_id": "a", "model": "llama-3.1-8b", "task": "train", "device": "h100-sxm", "device_count": 16,
        "precision": "amp_bfloat16", "compile": "megatron", "micro_batch_size": 1, "global_batch_size": 32,
        "sequence_length": 4096, "tensor_parallel": 4, "pipeline_parallel": 2,
    }  # fmt: skip
    return Case.model_validate(stated | changes)


def test_what_is_stated_is_taken_and_the_rest_is_what_the_software_does():
    split = split_of(case(virtual_pipeline=4, activation_checkpointing="full"), MEGATRON, NODE)
    assert str(split) == "DP 2 · TP 4 · PP 2 · VP 4 · ZeRO 1 · interleaved · sequence parallel · full checkpointing"
    old = split_of(case(precision="amp_float16"), EARLY_MEGATRON, NODE)
    assert str(old) == "DP 2 · TP 4 · PP 2 · 1f1b"
    assert split_of(case(zero_stage=3, tensor_parallel=1, pipeline_parallel=1), TORCH, NODE).zero_stage == 3


def test_shards_of_several_tpu_slices_stay_inside_each():
    v5e = DATABASE.device("tpu-v5e")
    pod = network_of(v5e, usual_system(DATABASE, v5e))
    stated = case(device_count=1024, tensor_parallel=1, pipeline_parallel=1, zero_stage=3, compile="xla")
    assert split_of(stated, XLA, pod).sharding_group == 256
    assert split_of(stated.model_copy(update={"device_count": 256}), XLA, pod).sharding_group == 0


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"data_parallel": 8}, "data 8 × tensor 4 × pipeline 2 × context 1 parallel are not its 16 devices"),
        ({"activation_checkpointing": "now and then"}, "activation_checkpointing 'now and then' is unknown"),
        ({"global_batch_size": 33}, "leaves a remainder"),
        ({"global_batch_size": None}, "global or the micro-batch size is not stated"),
        ({"task": "infer"}, "inference on several devices is not predicted"),
        ({"device": "rtx-3090", "device_count": 32}, "no network between machines"),
    ],
)
def test_what_cannot_be_predicted_is_refused_by_name(changes, message):
    asked = case(**changes)
    with pytest.raises(UsageError, match=message):
        predict_case(asked, llama(), DATABASE.device(asked.device))


def test_a_case_on_many_devices_is_predicted_with_range_and_floors():
    whole = predict_case(case(tensor_parallel=1, pipeline_parallel=1), llama(), H100)
    split = predict_case(case(), llama(), H100)
    assert 0 < split.step_time.low < split.step_time.mid < split.step_time.high
    assert split.floors.constant_utilisation_s == pytest.approx(whole.floors.constant_utilisation_s, rel=0.01)
    assert split.peak_memory_bytes < whole.peak_memory_bytes / 2
    assert whole.step_time.mid > whole.floors.datasheet_roofline_s * 0.5


def test_a_step_without_its_optimizer_is_shorter_by_the_optimizer():
    stated = case(compile="eager", tensor_parallel=1, pipeline_parallel=1)
    whole, passes = (
        predict_case(stated.model_copy(update={"scope": s}), llama(), H100) for s in (None, "forward_backward")
    )
    streamed_s = llama().bytes_moved.optimizer / H100.memory_bandwidth_bytes_per_s
    assert streamed_s < whole.step_time.mid - passes.step_time.mid < 2 * streamed_s


def test_16_bit_weights_need_no_casts_and_move_half_of_what_autocast_keeps_wide():
    table = llama().table()
    halved = without_autocast(table)
    casts = table.operator.mask("aten._to_copy") & ~table.phase.mask("optimizer")
    wide = table.precision.mask("float32") & ~table.phase.mask("optimizer") & ~casts
    rest = ~(casts | wide)
    assert casts.any() and (halved.count[casts] == 0).all()
    assert (2 * halved.bytes_read[wide] <= table.bytes_read[wide]).all() and wide.any()
    assert (halved.bytes_moved[rest] == table.bytes_moved[rest]).all()


def test_what_would_not_fit_was_computed_again():
    """Eight samples of 4,096 tokens keep 190 GB of activations on one device of 80 GB: nobody ran that."""
    h100 = DATABASE.device("h100-sxm")
    profile = llama().at(batch_size=8)
    alone = {"tensor_parallel": 1, "pipeline_parallel": 1, "micro_batch_size": 8, "global_batch_size": 128}
    asked = asked_of_case(case(**alone, zero_stage=3), profile, h100, TimeSettings("megatron", "contiguous"))
    assert asked.split.activation_checkpointing == "full"
    fits = asked_of_case(case(zero_stage=1), llama(), h100, TimeSettings("megatron", "contiguous"))
    assert fits.split.activation_checkpointing == "none"
    stated = case(**alone, zero_stage=3, activation_checkpointing="none")
    asked = asked_of_case(stated, profile, h100, TimeSettings("megatron", "contiguous"))
    assert asked.split.activation_checkpointing == "none"


def test_software_is_known_by_its_name_where_a_case_says_it():
    apex = case(source="lambdal/deeplearning-benchmark, PyTorch_bert_base_squad_FP16", compile="eager")
    assert stack_of_case(apex) is APEX
    assert stack_of_case(case(source="NVIDIA/dgxc-benchmarking, maxtext/README_70b.md")) is XLA
    assert stack_of_case(case(source="NVIDIA/dgxc-benchmarking, llama3.1/README_70b.md")) is MEGATRON
    assert stack_of_case(case(source="mosaicml/llm-foundry, throughput", compile="eager")) is FSDP
    assert stack_of_case(case(compile="eager")) is TORCH
    assert stack_of_case(case(precision="amp_float16")) is EARLY_MEGATRON
    assert stack_of_case(case(precision="amp_bfloat16")) is MEGATRON


def test_maxtext_computes_layers_again_where_nothing_is_said():
    source = "AI-Hypercomputer/maxtext, MaxText/configs/v5p"
    assert split_of(case(source=source), XLA, NODE).activation_checkpointing == "full"
    assert split_of(case(source=source, activation_checkpointing="none"), XLA, NODE).activation_checkpointing == "none"


@pytest.mark.parametrize(
    ("said", "checkpointing", "keeps"),
    [
        ("full", "full", ()),
        ("qkv_proj_offloaded", "full", ("qkv",)),
        ("save_dot_except_mlpwi", "full", ("qkv", "out", "down")),
        ("custom", "full", ()),
        ("custom offload:decoder_layer_input,key_proj,query_proj,value_proj", "full", ("qkv",)),
        ("custom offload:decoder_layer_input,out_proj,query_proj,mlpwi_0,a_name", "full", ("out", "qkv", "up")),
        ("minimal_offloaded", "selective", ()),
        ("not stated", "selective", ()),
    ],
)
def test_policies_of_maxtext_say_what_is_computed_again(said, checkpointing, keeps):
    v5e = DATABASE.device("tpu-v5e")
    stated = case(
        compile="xla", device="tpu-v5e", tensor_parallel=1, pipeline_parallel=1, zero_stage=3,
        activation_checkpointing="selective", notes=f"head=ForCausalLM; activation checkpointing: {said}; one step",
    )  # fmt: skip
    asked = asked_of_case(stated, llama(), v5e, TimeSettings("graph"))
    assert (asked.split.activation_checkpointing, asked.setting.stack.keeps) == (checkpointing, keeps)
