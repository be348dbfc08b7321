"""Routing of tokens: the busiest device of experts decides, a capacity factor pads all of them."""

import math
from functools import cache

import pytest

import hardware_db
from estimator.parallel.costs import Setting
from estimator.parallel.layout import layout_of
from estimator.parallel.network import network_of, usual_system
from estimator.parallel.parallelism import Parallelism
from estimator.parallel.prepared import pass_of_one
from estimator.parallel.routing import BALANCED, USUAL, Routing
from estimator.parallel.stack import MEGATRON
from estimator.parallel.step import parallel_step
from hardware_db.errors import UsageError
from profiles.library import Question, find

DATABASE = hardware_db.load()
H100 = DATABASE.device("h100-sxm")
SPREAD = Parallelism(data_parallel=8, expert_parallel=8, zero_stage=1)


@cache
def profile(model="mixtral-8x7b"):
    return find(Question(model, "train", "amp_bfloat16", "adamw", "cuda"), 1, 1024)


def setting(routing):
    return Setting(H100, network_of(H100, usual_system(DATABASE, H100)), MEGATRON, routing=routing)


def test_a_device_with_several_experts_averages_their_loads():
    layout = layout_of(profile())
    routing = Routing((1.0, 1.3, 1.3))
    assert routing.load(layout, 8)[1] == pytest.approx(1.3)
    four_each = 1 + 0.3 * math.sqrt(math.log(2) / math.log(8) / 4)  # two devices, the mean of four experts each
    assert routing.load(layout, 2)[1] == pytest.approx(four_each)
    assert routing.load(layout, 1).tolist() == [1, 1, 1]  # all experts are here: as many rows as tokens


def test_models_without_experts_have_none_that_is_busy():
    assert USUAL.load(layout_of(profile("gpt2")), 1).tolist() == [1, 1, 1]


def test_a_busy_expert_costs_its_products_and_messages_in_proportion():
    even, _ = pass_of_one(profile(), SPREAD, setting(BALANCED))
    busy, _ = pass_of_one(profile(), SPREAD, setting(Routing((1.5, 1.5, 1.5))))
    assert busy.expert_forward[1] == pytest.approx(1.5 * even.expert_forward[1])
    extra = (busy.forward - even.forward)[1].sum() / even.forward[1].sum()
    assert 0.25 < extra < 0.5  # most of Mixtral's forward pass are its experts, and none of it more than doubles


def test_a_capacity_factor_pads_the_experts_of_one_device_too():
    alone = Parallelism()
    even, kept = pass_of_one(profile(), alone, setting(BALANCED))
    padded, more = pass_of_one(profile(), alone, setting(Routing((1.0, 1.0, 1.0), capacity_factor=2.0)))
    assert padded.forward[1].sum() > 1.5 * even.forward[1].sum()
    assert more.whole.sum() > 1.2 * kept.whole.sum()


def test_routing_does_not_touch_what_a_model_is_worth():
    """MFU counts the tokens that were asked for: padding and waiting lower it."""
    even, busy = (parallel_step(profile(), SPREAD, setting(each), 4) for each in (BALANCED, USUAL))
    assert busy.total.mid > even.total.mid
    assert busy.mfu * busy.total.mid == pytest.approx(even.mfu * even.total.mid)


@pytest.mark.parametrize(
    ("busiest", "capacity", "message"),
    [((0.9, 1.0, 1.0), None, "has at least the mean"), ((1.0, 1.0, 1.0), 0.0, "must be above 0")],
)
def test_impossible_routing_is_refused(busiest, capacity, message):
    with pytest.raises(UsageError, match=message):
        Routing(busiest, capacity)
