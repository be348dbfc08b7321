"""Memory of each device and stage of a split step, against what the papers' formulas give by hand."""

from functools import cache

import numpy as np
import pytest

import hardware_db
from estimator.parallel.costs import Setting
from estimator.parallel.memory import kept_of
from estimator.parallel.network import network_of, usual_system
from estimator.parallel.parallelism import Parallelism
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
