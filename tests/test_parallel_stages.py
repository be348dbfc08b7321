"""Which layers run on which stage: dealt out evenly, or so that no stage has more to do than it must."""

from functools import cache
from itertools import combinations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

import hardware_db
from estimator.parallel.costs import Setting
from estimator.parallel.network import network_of, usual_system
from estimator.parallel.parallelism import Parallelism
from estimator.parallel.stack import MEGATRON
from estimator.parallel.stages import chunks_of, edges_of, largest_load, layers_dealt
from estimator.parallel.step import parallel_step
from hardware_db.errors import UsageError
from profiles.library import Question, find

DATABASE = hardware_db.load()
H100 = DATABASE.device("h100-sxm")


@cache
def recorded(model, length):
    return find(Question(model, "train", "amp_bfloat16", "adamw", "cuda"), 1, length).at(1, length)


def layers_of_stages(model, length, **fields):
    split = Parallelism(**fields)
    profile = recorded(model, length)
    owners = chunks_of(profile, np.ones(len(profile.module_parameters)), split)
    return np.bincount(owners[1:-1] % split.pipeline_parallel, minlength=split.pipeline_parallel).tolist()


def test_llama_405b_is_dealt_as_meta_dealt_it():
    """126 layers on 16 stages, one less on the first and on the last (Grattafiori et al., 2024, section 3.3.2)."""
    meta = [7, *[8] * 14, 7]
    assert layers_of_stages("llama-3.1-405b", 8192, pipeline_parallel=16) == meta
    chunked = {"pipeline_parallel": 16, "virtual_pipeline": 8, "schedule": "interleaved"}
    assert layers_of_stages("llama-3.1-405b", 8192, **chunked) == meta


def test_layers_that_divide_are_dealt_out_evenly_unless_asked_otherwise():
    assert layers_of_stages("llama-3.1-8b", 8192, pipeline_parallel=4) == [8, 8, 8, 8]
    uneven = layers_of_stages("llama-3.1-8b", 8192, pipeline_parallel=4, even_stages=False)
    assert sum(uneven) == 32 and uneven[3] < 8 < max(uneven)


def test_the_head_counts_as_many_layers_as_its_products():
    """Llama 3.1 8B: 128,256 words of 4,096 features over a layer's products and its attention, counted in full."""
    width, length = 4096, 8192
    layer = 2 * width**2 + 2 * width * 1024 + 3 * width * 14336 + 2 * length * width
    _, head = edges_of(recorded("llama-3.1-8b", length))
    assert head == pytest.approx(128256 * width / layer, rel=0.05)


@given(st.integers(1, 9), st.integers(2, 4), st.sampled_from([0.01, 0.4, 1.3, 2.6]), st.sampled_from([0.01, 0.5]))
def test_no_way_to_deal_layers_leaves_the_fullest_stage_less_to_do(layers, stages, head, before):
    edges = (before, head)
    dealt = layers_dealt(layers, edges, stages, 1)
    ways = (
        tuple(end - start for start, end in zip((0, *cuts), (*cuts, layers), strict=True))
        for cuts in combinations(sorted(list(range(layers + 1)) * 2), stages - 1)
    )
    least = min(largest_load(way, edges, stages) for way in ways)
    if dealt is not None:
        assert sum(dealt) == layers
        assert largest_load(dealt, edges, stages) == pytest.approx(least)


@given(st.integers(1, 40), st.integers(2, 6), st.integers(1, 4))
def test_chunks_of_a_stage_differ_by_a_layer_and_none_is_empty(layers, stages, chunks):
    dealt = layers_dealt(layers, (0.01, 0.6), stages, chunks)
    if dealt is not None:
        inner = np.array(dealt).reshape(chunks, stages)[:, 1:-1]
        assert 0 not in dealt[1:-1]
        assert not inner.size or (np.ptp(inner, axis=0) <= 1).all()


def test_stages_without_a_layer_are_refused():
    with pytest.raises(UsageError, match="12 layers, too few for 15 pipeline chunks"):
        layers_of_stages("gpt2", 1024, pipeline_parallel=15, even_stages=False)


def test_uneven_stages_are_faster_where_the_head_is_heavy_and_hold_the_model_once():
    profile = recorded("llama-3.1-8b", 8192)
    setting = Setting(H100, network_of(H100, usual_system(DATABASE, H100)), MEGATRON)
    even, uneven = (
        parallel_step(profile, Parallelism(pipeline_parallel=4, even_stages=each), setting, 32)
        for each in (True, False)
    )
    assert uneven.total.mid < 0.95 * even.total.mid
    held = [sum(stage.parameter_bytes for stage in step.memory) for step in (even, uneven)]
    assert held[0] == pytest.approx(held[1], rel=1e-9) == pytest.approx(2 * profile.parameters, rel=1e-6)
