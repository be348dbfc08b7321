"""Memory of each device and stage of a split step, against what the papers' formulas give by hand."""

from dataclasses import replace
from functools import cache

import numpy as np
import pytest

import hardware_db
from estimator.memory import overhead_of
from estimator.parallel.costs import Setting
from estimator.parallel.memory import _role_shares, kept_of
from estimator.parallel.network import network_of, usual_system
from estimator.parallel.parallelism import Parallelism
from estimator.parallel.roles import Role
from estimator.parallel.stack import MEGATRON, TORCH
from estimator.parallel.step import parallel_step
from profiles.library import Question, find

DATABASE = hardware_db.load()
H100 = DATABASE.device("h100-sxm")
LAYER = 4 * 4096**2 + 3 * 4096 * 11008
"""Products of a layer of Llama 2 7B: four of attention, three of its feed-forward network."""
LAYERS, WORDS, NORMS = 32, 2 * 32000 * 4096, 65 * 4096
WHOLE = LAYERS * LAYER + WORDS + NORMS
EXPERTS = 32 * 8 * 3 * 4096 * 14336
"""Weights of the experts of Mixtral 8x7B."""


@cache
def recorded(name="llama-2-7b", length=2048):
    return find(Question(name, "train", "amp_bfloat16", "adamw", "cuda"), 1, length)


@cache
def stages(name="llama-2-7b", micro_batches=8, stack=MEGATRON, **fields):
    split = Parallelism(**fields)
    setting = Setting(H100, network_of(H100, usual_system(DATABASE, H100)), stack)
    return parallel_step(recorded(name), split, setting, micro_batches).memory


def test_the_model_is_what_the_formulas_say():
    assert recorded().parameters == WHOLE


def test_tensor_parallel_divides_products_and_words_not_norms():
    (one,), (eight,) = stages(), stages(tensor_parallel=8)
    assert one.parameter_bytes == 2 * WHOLE
    assert eight.parameter_bytes == pytest.approx(2 * ((WHOLE - NORMS) / 8 + NORMS), rel=1e-9)


def test_adam_keeps_two_moments_and_a_master_copy():
    """Twelve bytes a parameter besides the weight and its gradient (Rajbhandari et al., 2020, section 3.1)."""
    (one,) = stages()
    assert one.optimizer_state_bytes == pytest.approx(12 * WHOLE, rel=1e-3)


@pytest.mark.parametrize(("stage", "divided"), [(0, ""), (1, "o"), (2, "og"), (3, "ogp")])
def test_zero_divides_what_its_stage_says(stage, divided):
    """Rajbhandari et al., 2020, figure 1."""
    (plain,), (found,) = stages(data_parallel=8), stages(data_parallel=8, zero_stage=stage)
    for letter, name in (("o", "optimizer_state_bytes"), ("g", "gradient_bytes"), ("p", "parameter_bytes")):
        whole = getattr(plain, name) / (8 if letter in divided else 1)
        assert getattr(found, name) == pytest.approx(whole, rel=1e-6), name


def test_hybrid_shards_divide_within_the_group():
    (all_16,), (groups,) = (stages(data_parallel=16, zero_stage=3, sharding_group=size) for size in (0, 8))
    assert groups.optimizer_state_bytes == pytest.approx(2 * all_16.optimizer_state_bytes, rel=1e-6)
    assert groups.gathered_bytes == all_16.gathered_bytes > 0


def test_stages_of_a_pipeline_hold_the_model_once():
    found = stages(pipeline_parallel=4)
    assert sum(stage.parameter_bytes for stage in found) == pytest.approx(2 * WHOLE, rel=1e-6)
    assert max(stage.parameter_bytes for stage in found) < WHOLE


def test_the_first_stage_keeps_as_many_micro_batches_as_there_are_stages():
    """1F1B: stage s of p keeps p - s (Narayanan et al., 2021, section 2.2); GPipe keeps all of them."""
    few, many = stages(pipeline_parallel=4, micro_batches=8), stages(pipeline_parallel=4, micro_batches=32)
    assert [stage.activation_bytes for stage in few] == [stage.activation_bytes for stage in many]
    middle = [stage.activation_bytes for stage in many[1:3]]
    assert middle[0] / 3 == pytest.approx(middle[1] / 2, rel=0.15)  # as many layers, up to one
    gpipe = [stages(pipeline_parallel=4, micro_batches=number, schedule="gpipe")[1] for number in (8, 32)]
    assert gpipe[1].activation_bytes == pytest.approx(4 * gpipe[0].activation_bytes, rel=1e-6)


def test_context_parallel_divides_tokens():
    (one,), (two,) = stages(), stages(context_parallel=2)
    assert two.activation_bytes == pytest.approx(one.activation_bytes / 2, rel=0.01)
    assert two.parameter_bytes == one.parameter_bytes


def test_experts_are_spread_and_the_rest_is_not():
    (one,), (eight,) = stages("mixtral-8x7b"), stages("mixtral-8x7b", data_parallel=8, expert_parallel=8)
    rest = recorded("mixtral-8x7b").parameters - EXPERTS
    assert one.parameter_bytes == 2 * (rest + EXPERTS)
    assert eight.parameter_bytes == pytest.approx(2 * (rest + EXPERTS / 8), rel=1e-6)


@pytest.mark.parametrize("shared", [1, 8])
def test_a_layer_of_gpt_keeps_34_bytes_a_token_and_feature(shared):
    """Korthikanti et al., 2022, equations 1 and 4: sbh (34 / t) with sequence parallel, without attention scores."""
    profile = recorded("gpt2-xl", 1024)
    width, tokens = 1600, 1024
    split = Parallelism(tensor_parallel=shared, sequence_parallel=shared > 1)
    # 25 heads do not divide by 8: what is kept of a layer is asked for without a check of the split.
    whole = kept_of(profile, split, MEGATRON).whole[1:-1]
    assert np.allclose(whole, 34 * tokens * width / shared, rtol=0.06)


def test_full_checkpointing_keeps_the_input_of_each_layer():
    """2 sbh a layer (Korthikanti et al., 2022, table 2)."""
    whole = kept_of(recorded(), Parallelism(), MEGATRON).inputs[1:-1]
    assert np.allclose(whole, 2 * 2048 * 4096)
    (all_kept,), (again,) = stages(), stages(activation_checkpointing="full")
    assert again.activation_bytes < all_kept.activation_bytes / 5


def test_without_a_software_that_trains_in_halves_weights_stay_wide():
    """Autocast keeps float32 weights: 4 + 4 + 8 bytes."""
    (plain,) = stages(stack=TORCH)
    assert plain.parameter_bytes == 4 * WHOLE
    assert plain.optimizer_state_bytes == pytest.approx(8 * WHOLE, rel=1e-3)


@pytest.mark.parametrize(
    ("fields", "devices"),
    [({}, 1), ({"tensor_parallel": 8}, 8), ({"pipeline_parallel": 4}, 4), ({"data_parallel": 8, "zero_stage": 3}, 8),
     ({"data_parallel": 8, "zero_stage": 2}, 1)],
)  # fmt: skip
def test_copies_in_float8_are_divided_as_their_layers_are(monkeypatch, fields, devices):
    """They lie beside the weights that a device has of the layers; embeddings and head have none."""
    assert {stage.copy_bytes for stage in stages(**fields)} == {0}  # in 16 bits
    copies = 2 * LAYERS * LAYER
    monkeypatch.setattr("estimator.parallel.stage_memory.eight_bit_bytes", lambda _: copies)
    found = stages.__wrapped__(**fields)
    assert [stage.copy_bytes for stage in found] == pytest.approx([copies / devices] * len(found), rel=1e-3)


@pytest.mark.parametrize(
    ("shared", "sequence", "each"),
    [(1, False, 34), (8, True, 34 / 8), (8, False, 10 + 24 / 8)],
)
def test_what_a_layer_of_gpt_keeps_to_the_byte(shared, sequence, each):
    """Korthikanti et al., 2022, equations 1, 2 and 4: sbh 34, sbh (10 + 24 / t) and sbh 34 / t."""
    split = Parallelism(tensor_parallel=shared, sequence_parallel=sequence)
    whole = kept_of(recorded("gpt2-xl", 1024), split, MEGATRON).whole[1:-1]
    assert whole == pytest.approx([each * 1024 * 1600] * 48)


@pytest.mark.parametrize(("crowd", "experts"), [(1.0, 1.0), (1.5, 1.5)])
def test_what_a_layer_of_mixtral_keeps_to_the_byte(crowd, experts):
    """Two bytes a token of q, k, v (6,144) and of what goes into o (4,096); inputs of two norms and two products.

    Each of two experts: what gate and up give and down takes (3 x 14,336) and what it gives (4,096), in two bytes.
    """
    attention = 2 * (6144 + 4096) + 4 * 4096
    chosen = 2 * 2 * (3 * 14336 + 4096)
    whole = kept_of(recorded("mixtral-8x7b"), Parallelism(), MEGATRON, crowd).whole[1:-1]
    assert whole == pytest.approx([2048 * (attention + experts * chosen)] * 32)


INSIDE = ("attn", "attn.c_attn", "attn.c_proj", "mlp.c_fc", "mlp.act", "mlp.c_proj")
"""Modules of a layer of GPT-2 that keep what tensor parallel divides: all between a column and a row of products."""


@pytest.mark.parametrize("degree", [1, 2, 4])
def test_what_was_recorded_of_a_layer_is_divided_as_its_modules_are(degree):
    profile = recorded("gpt2", 1024)
    held = profile.trace.activation_bytes
    inside = sum(held[f"transformer.h.[0-11].{name}"] for name in INSIDE) / 12
    layer = sum(size for path, size in held.items() if path.startswith("transformer.h.")) / 12
    first, after = held["transformer"] + held["transformer.drop"], held["transformer.ln_f"]
    scores = held["lm_head"] + held[""]
    whole = kept_of(profile, Parallelism(tensor_parallel=degree), TORCH).whole
    assert whole[1:-1] == pytest.approx([layer - inside + inside / degree] * 12)
    assert whole[[0, -1]] == pytest.approx([first, after + scores / degree])
    halved = kept_of(profile, Parallelism(tensor_parallel=degree, context_parallel=2), TORCH)
    assert halved.whole == pytest.approx(whole / 2)


def test_roles_are_divided_by_hand():
    shares = _role_shares(Parallelism(tensor_parallel=4), 1.5)
    assert shares.tolist() == [1, 1, 1 / 4, 1 / 4, 1, 1, 1.5 / 4, 1.5, 1.5]
    assert _role_shares(Parallelism(tensor_parallel=4, sequence_parallel=True), 1.0)[Role.TOKENS] == 1 / 4


def test_inputs_of_layers_are_divided_with_their_tokens():
    shared = Parallelism(tensor_parallel=8, sequence_parallel=True)
    assert kept_of(recorded(), shared, MEGATRON).inputs[1:-1] == pytest.approx([2 * 2048 * 4096 / 8] * 32)
    assert kept_of(recorded(), Parallelism(tensor_parallel=8), MEGATRON).inputs[1] == 2 * 2048 * 4096


def test_what_is_alive_at_the_peak_beyond_what_is_kept_is_divided():
    trace = recorded("gpt2", 1024).trace
    peak = max(moment.activation_bytes for moment in trace.timeline if moment.phase != "optimizer")
    beyond = peak - sum(trace.activation_bytes.values())
    assert kept_of(recorded("gpt2", 1024), Parallelism(), TORCH).working == beyond > 0
    assert (
        kept_of(recorded("gpt2", 1024), Parallelism(tensor_parallel=2, context_parallel=2), TORCH).working == beyond / 4
    )


def test_a_layer_that_is_computed_again_is_alive_as_a_whole():
    """Of Llama 2 7B, a token: q, k, v, o and three products of 11,008 in two bytes, four inputs of 4,096."""
    layer = 2048 * (2 * (4 * 4096 + 3 * 11008) + 2 * 4 * 4096)
    found = stages(pipeline_parallel=4, activation_checkpointing="full")
    assert [stage.working_bytes for stage in found[:3]] == [layer] * 3
    assert {stage.working_bytes for stage in stages(pipeline_parallel=4)[:3]} == {0}
    beyond = round(kept_of(recorded(), Parallelism(), MEGATRON).working)
    assert stages(pipeline_parallel=4)[3].working_bytes == beyond
    assert found[3].working_bytes == max(beyond, layer)


def test_two_layers_and_what_is_outside_of_them_are_gathered():
    (dense,), (experts,) = (stages(name, data_parallel=8, zero_stage=3) for name in ("llama-2-7b", "mixtral-8x7b"))
    assert dense.gathered_bytes == 2 * (2 * (LAYER + 2 * 4096) + WORDS + 4096)
    attention = 2 * 4096**2 + 2 * 4096 * 1024 + 8 * 4096 + 2 * 4096
    assert experts.gathered_bytes == 2 * (2 * (attention + EXPERTS // 32) + WORDS + 4096)
    assert stages(data_parallel=8, zero_stage=2)[0].gathered_bytes == 0


def test_interleaved_stages_hold_chunks_of_half_their_layers():
    """Stage 1 of 4 with two chunks is 2 x 2 + 4 + 1 = 9 passes of a chunk ahead: 4.5 of its eight layers."""
    layer = 2048 * (2 * (4 * 4096 + 3 * 11008) + 2 * 4 * 4096)
    found = stages(pipeline_parallel=4, virtual_pipeline=2, schedule="interleaved", micro_batches=16)
    assert found[1].activation_bytes == round(4.5 * 8 * layer)


def test_what_is_not_trained_has_no_gradients():
    (whole,), (half,) = (_alone(share) for share in (1, 2))
    parameters = recorded("gpt2", 1024).parameters
    assert whole.gradient_bytes == 4 * parameters and half.gradient_bytes == 4 * (parameters // 2)
    assert whole.optimizer_state_bytes == pytest.approx(12 * parameters, rel=1e-3)
    # The recorded states are those of half as many parameters: 16 bytes each, and a copy of 4.
    assert half.optimizer_state_bytes == pytest.approx((16 + 4) * parameters / 2, rel=1e-3)


def _alone(share):
    profile = recorded("gpt2", 1024)
    setting = Setting(H100, network_of(H100, usual_system(DATABASE, H100)), MEGATRON)
    part = replace(profile, trainable_parameters=profile.parameters // share)
    return parallel_step(part, Parallelism(), setting, 1).memory


def test_what_a_device_holds_besides_tensors():
    (found,) = stages()
    overhead = overhead_of(H100)
    tensors = found.total_bytes - found.overhead_bytes
    fixed = overhead.context_bytes.mid + overhead.communicator_bytes.mid
    assert found.overhead_bytes == pytest.approx(fixed + overhead.reserve_share.mid * tensors, abs=8)


def test_experts_are_divided_over_those_that_hold_the_same():
    """Eight replicas, experts over four of them: ZeRO 3 divides experts by two, all else by eight."""
    (found,) = stages("mixtral-8x7b", data_parallel=8, expert_parallel=4, zero_stage=3)
    rest = recorded("mixtral-8x7b").parameters - EXPERTS
    assert found.parameter_bytes == pytest.approx(2 * (rest / 8 + EXPERTS / 4 / 2), rel=1e-9)
