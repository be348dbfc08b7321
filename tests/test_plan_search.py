"""The search: its floors are floors, its bytes are the model's, and what it leaves unevaluated could not have won."""

from dataclasses import replace
from functools import cache

import pytest

import hardware_db
from estimator.parallel.network import network_of, usual_system
from estimator.parallel.stack import MEGATRON, TORCH, XLA
from estimator.plan.job import Job
from estimator.plan.search import ALIKE, blocks_of_candidates, evaluate, search
from hardware_db.errors import UsageError
from profiles.library import Question, find

DATABASE = hardware_db.load()
STACKS = {"megatron": MEGATRON, "torch": TORCH, "xla": XLA}
JOBS = {
    "layers": ("gpt2", "h100-sxm", 8, 8, 1024, "megatron"),
    "two machines": ("gpt2-medium", "a100-sxm-40gb", 16, 16, 1024, "torch"),
    "experts": ("mixtral-8x7b", "h100-sxm", 16, 8, 1024, "megatron"),
    "no transformer": ("resnet50", "v100-sxm2-32gb", 4, 64, None, "torch"),
    "torus": ("gpt2", "tpu-v5e", 16, 32, 1024, "xla"),
}
QUICK = ("layers", "no transformer")


NAMES = [name if name in QUICK else pytest.param(name, marks=pytest.mark.slow) for name in JOBS]


@cache
def job(name):
    model, device_name, count, batch, length, stack = JOBS[name]
    device = DATABASE.device(device_name)
    precision = "amp_float16" if "v100" in device_name else "amp_bfloat16"
    questions = [Question(model, "train", precision, optimizer, "cuda") for optimizer in ("adamw", "sgd-momentum")]
    profile = next(found for question in questions if (found := find(question, 1, length)) is not None)
    network = network_of(device, usual_system(DATABASE, device))
    return Job(profile.at(1, length), device, network, STACKS[stack], count, batch)


@cache
def brute_force(name):
    """Every candidate with its floor, its bytes and its step."""
    asked = job(name)
    return [
        (float(block.floor_s[row]), float(block.held_bytes[row]), evaluate(asked, block.candidate(row)))
        for block in blocks_of_candidates(asked)
        for row in range(len(block.cells))
    ]


@pytest.mark.parametrize("name", NAMES)
def test_no_candidate_is_faster_than_its_floor(name):
    assert all(floor <= plan.seconds * (1 + 1e-9) for floor, _, plan in brute_force(name))


@pytest.mark.parametrize("name", NAMES)
def test_columns_of_bytes_are_what_the_memory_model_says(name):
    for _, held, plan in brute_force(name):
        assert held == pytest.approx(plan.step.peak_memory_bytes, rel=1e-6)


@pytest.mark.parametrize("name", NAMES)
def test_the_search_finds_what_brute_force_finds(name):
    asked = job(name)
    fitting = [plan for _, held, plan in brute_force(name) if held <= asked.capacity_bytes]
    fastest = min(plan.seconds for plan in fitting)
    found = search(asked)
    assert min(plan.seconds for plan in found.plans) == pytest.approx(fastest, rel=1e-9)
    assert found.best.seconds <= fastest * ALIKE
    assert found.searched == len(brute_force(name)) and found.fitting == len(fitting)
    ranked = {}
    for plan in sorted(fitting, key=lambda plan: plan.seconds):
        ranked.setdefault(plan.degrees, plan.seconds)
    assert sorted(plan.seconds for plan in found.plans) == pytest.approx(list(ranked.values())[: len(found.plans)])


def test_few_candidates_are_evaluated():
    found = search(job("layers"))
    assert found.evaluated < found.fitting / 5


def test_of_equally_fast_plans_the_simplest_is_best():
    best = search(job("layers")).best
    assert best.split.model_devices == 1


def test_what_does_not_fit_anywhere_is_no_plan_and_says_how_much_is_needed():
    device = DATABASE.device("rtx-3090")
    profile = find(Question("llama-3.1-70b", "train", "amp_bfloat16", "adamw", "cuda"), 1, 4096)
    found = search(Job(profile, device, network_of(device, None, 4), MEGATRON, 4, 8))
    assert found.best is None and found.fitting == 0 and found.searched > 0
    assert found.least_bytes > 100e9


def test_a_device_without_known_memory_is_refused():
    device = DATABASE.device("h100-sxm")
    unknown = replace(device, memory_bytes=None, visible_memory_bytes=None)
    with pytest.raises(UsageError, match="no memory of h100-sxm is known"):
        Job(job("layers").profile, unknown, network_of(device), MEGATRON, 4, 8)
