"""What a checkpointed layer computes again, and what fused software leaves of what was recorded."""

from dataclasses import replace
from functools import cache
from pathlib import Path

import numpy as np
import pytest

import hardware_db
from estimator.parallel.again import spared
from estimator.parallel.costs import Setting
from estimator.parallel.fused import CHAINED, with_chains, without_masks
from estimator.parallel.layout import layout_of
from estimator.parallel.network import network_of, usual_system
from estimator.parallel.parallelism import Parallelism
from estimator.parallel.prepared import pass_of_one, prepare
from estimator.parallel.stack import EARLY_MEGATRON, MEGATRON, XLA
from profiles.case_trace import ProfileQuestion, trace
from profiles.library import Question, find

DATABASE = hardware_db.load()
V5E = DATABASE.device("tpu-v5e")
SETTING = Setting(V5E, network_of(V5E, usual_system(DATABASE, V5E)), XLA)
FULL = Parallelism(activation_checkpointing="full")


@cache
def llama():
    return find(Question("llama-3.1-8b", "train", "amp_bfloat16", "adamw", "cuda"), 1, 1024)


@cache
def gemma():
    """Six layers of four heads of 64; all but the last look back 32 of 256 tokens; norms behind pairs."""
    sizes = "num_hidden_layers=6,hidden_size=256,num_attention_heads=4,num_key_value_heads=4,head_dim=64"
    layers = "sliding_window=32,vocab_size=512,intermediate_size=512"
    spec = f"hf:gemma3_text,{sizes},{layers}#ForCausalLM"
    question = ProfileQuestion(spec, "train", "bfloat16", "adamw", 2, 256, None, False, "tpu")
    return replace(trace(question, Path()), model=spec)


def modules(profile, rows):
    return {profile.trace.current.operations[row].module.rpartition(".")[2] for row in np.flatnonzero(rows)}


def test_a_compiler_does_not_compute_what_only_the_residual_sum_takes():
    layout = layout_of(llama())
    assert modules(llama(), spared(layout, (), whole=False)) == {"down_proj"}
    assert not spared(layout, (), whole=True).any()


def test_results_that_a_policy_keeps_are_not_computed_again():
    found = spared(layout_of(llama()), ("qkv", "out"), whole=False)
    assert modules(llama(), found) == {"q_proj", "k_proj", "v_proj", "o_proj", "down_proj"}
    assert modules(llama(), spared(layout_of(llama()), ("up",), whole=True)) == {"gate_proj", "up_proj"}


def test_what_a_norm_takes_is_computed_again():
    assert not spared(layout_of(gemma()), (), whole=False).any()


def test_the_recomputation_of_a_step_is_the_forward_pass_of_its_layers_without_what_is_spared():
    plan = prepare(llama(), FULL, SETTING, 1)
    whole = prepare(llama(), FULL, replace(SETTING, stack=replace(XLA, recomputes_unneeded=True)), 1)
    costs, _ = pass_of_one(llama(), FULL, SETTING)
    layers = np.s_[1, 1:-1]
    assert whole.passes.again[layers] == pytest.approx(costs.forward[layers])
    assert plan.passes.again[layers] == pytest.approx((costs.forward - costs.spared)[layers])
    # 4096 x 14336 of the 218 million weights of a layer, beside some attention and norms
    assert 0.2 < (costs.spared / costs.forward)[1, 1] < 0.27


def test_kernels_that_know_the_window_leave_out_what_lies_outside():
    """Of 256 queries each sees itself and up to 31 before: 32 * 33 / 2 + 224 * 32 of 256 * 256 pairs."""
    profile = gemma()
    table = profile.table()
    found = without_masks(table, profile)
    masked = table.family.mask("attention") & (table.dims["causal"] == 0)
    share = (32 * 33 / 2 + 224 * 32) / 256**2
    np.testing.assert_allclose(found.executed_flops[masked], table.executed_flops[masked] * share, rtol=1e-6)
    assert masked.any() and (found.bytes_read[masked] < table.bytes_read[masked]).all()
    assert (found.executed_flops[~masked] == table.executed_flops[~masked]).all()
    assert without_masks(table, replace(profile, model="mine")) is table


def test_an_activation_written_out_in_steps_moves_what_its_largest_step_does():
    profile = find(Question("gpt2", "train", "amp_bfloat16", "adamw", "cuda"), 1, 1024)
    table = profile.table()
    found = with_chains(table, profile)
    steps = np.array([each.module.endswith("mlp.act") for each in profile.trace.current.operations])
    for phase in ("forward", "backward"):
        mine = steps & table.phase.mask(phase) & table.family.mask(*CHAINED)
        assert mine.sum() > 3
        assert found.bytes_moved[mine].sum() == table.bytes_moved[mine].max()
    assert (found.count == table.count).all()
    optimizer = table.phase.mask("optimizer")
    assert (found.bytes_moved[optimizer] == table.bytes_moved[optimizer]).all()


def test_early_megatron_writes_scores_to_memory():
    assert EARLY_MEGATRON.name == MEGATRON.name and not EARLY_MEGATRON.fused_attention
