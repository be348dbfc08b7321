"""Experts beside attention whose products are batched as well: what is what, and what fused attention leaves out."""

from functools import cache
from pathlib import Path

import numpy as np
import pytest

import hardware_db
from estimator.parallel.costs import Setting
from estimator.parallel.layout import layout_of
from estimator.parallel.network import network_of, usual_system
from estimator.parallel.parallelism import Parallelism
from estimator.parallel.roles import Role
from estimator.parallel.sharding import on_scores, sharded_table
from estimator.parallel.stack import FSDP, TORCH
from estimator.parallel.step import parallel_step
from profiles.case_trace import ProfileQuestion, trace

DATABASE = hardware_db.load()
H100 = DATABASE.device("h100-sxm")
SINKS = (
    "hf:gpt_oss,num_hidden_layers=2,hidden_size=128,intermediate_size=192,num_attention_heads=4,num_key_value_heads=2,"
    "head_dim=32,num_local_experts=8,num_experts_per_tok=2,vocab_size=512,max_position_embeddings=256#ForCausalLM"
)
"""Its attention has weights of its own (sinks) and writes its scores to memory; its experts are grouped products."""


@cache
def traced():
    return trace(ProfileQuestion(SINKS, "train", "amp_bfloat16", "adamw", 2, 256, None, False, "cuda"), Path())


def test_products_of_attention_are_not_taken_for_experts():
    layout = layout_of(traced())
    batched = [row for row, each in enumerate(layout.products.operations) if each.operator == "aten.bmm"]
    assert batched and {Role(int(layout.role[row])) for row in batched} == {Role.HEADS}
    assert set(layout.experts[layout.experts > 0].tolist()) == {8}
    assert (layout.chosen == 1).all()  # grouped products take only the rows that were sent to them


@pytest.mark.parametrize("degree", [2, 8])
def test_spread_experts_compute_as_much_as_before(degree):
    """Half of the experts with the rows of two devices: balanced routing changes nobody's work."""
    profile = traced()
    alone = sharded_table(profile, Parallelism())
    spread = sharded_table(profile, Parallelism(data_parallel=degree, expert_parallel=degree))
    rows = layout_of(profile).experts > 0
    assert spread.model_flops[rows] == pytest.approx(alone.model_flops[rows], rel=1e-6)
    assert np.nansum(spread.batch[rows]) == pytest.approx(8 / degree * rows.sum())


def test_software_with_fused_attention_leaves_out_what_touches_the_scores():
    profile = traced()
    names = set(profile.table().operator.values[on_scores(profile)].tolist())
    assert {"aten._softmax", "aten._softmax_backward_data"} <= names
    assert not names & {"aten.bmm", "aten.mm", "aten._grouped_mm", "aten.embedding"}
    network = network_of(H100, usual_system(DATABASE, H100))
    fused, plain = (
        parallel_step(profile, Parallelism(), Setting(H100, network, stack), 1).parts["forward"].mid
        for stack in (FSDP, TORCH)
    )
    assert fused < plain
