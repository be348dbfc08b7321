"""What must hold of the best plan whatever the figures are: better machines and more devices are not slower."""

from dataclasses import replace
from functools import cache
from itertools import pairwise

import pytest

import hardware_db
from estimator.parallel.network import network_of, usual_system
from estimator.plan.job import Job, stack_for
from estimator.plan.search import search
from profiles.library import Question, find

DATABASE = hardware_db.load()
JOBS = {
    "language": ("gpt2-medium", "a100-sxm-40gb", 64, 1024),
    "images": ("resnet50", "a100-sxm-40gb", 256, None),
    "torus": ("gpt2", "tpu-v5e", 64, 1024),
    "cards": ("gpt2", "a100-pcie-80gb", 64, 1024),
}
DOUBLINGS = (1, 2, 4, 8, 16, 32)
LATE = 1.02
"""More hosts wait for the latest of them: a step that nothing else shortens grows by up to 2 % with every doubling."""


@cache
def job(name):
    model, device_name, batch, length = JOBS[name]
    device = DATABASE.device(device_name)
    profile = find(Question(model, "train", "amp_bfloat16", "adamw", "cuda"), 1, length)
    network = network_of(device, usual_system(DATABASE, device))
    return Job(
        profile.at(1, length) if length else profile.at(1), device, network, stack_for(profile, device), 1, batch
    )


def fastest(asked):
    return min(plan.seconds for plan in search(asked).plans)


@pytest.mark.parametrize("name", ["language", "images", "torus"])
def test_more_devices_are_not_slower(name):
    seconds = [fastest(job(name).on(count)) for count in DOUBLINGS]
    for fewer, more in pairwise(seconds):
        assert more <= fewer * LATE
        assert more >= fewer / 2 / LATE  # nor does anybody gain more than the devices that came


@pytest.mark.parametrize("name", ["language", "cards"])
@pytest.mark.parametrize("link", ["inner_bytes_per_s", "outer_bytes_per_s"])
def test_faster_links_are_not_slower(name, link):
    asked = job(name).on(16)
    faster = replace(asked.network, **{link: 2 * getattr(asked.network, link)})
    assert fastest(replace(asked, network=faster)) <= fastest(asked)


def test_links_of_a_bridge_are_not_slower_than_none():
    asked = job("cards").on(2)
    system = replace(
        next(each for each in DATABASE.systems if each.device == "a100-pcie-80gb"), topology="bridge",
        devices_per_host=4, scale_up_devices=2, scale_up_bytes_per_s=300e9,
    )  # fmt: skip
    bridged = replace(asked, network=network_of(asked.device, system))
    assert fastest(bridged) < fastest(asked)


def test_more_memory_is_not_slower():
    asked = job("language").on(8)
    roomy = replace(asked.device, memory_bytes=2 * asked.device.memory_bytes, visible_memory_bytes=None)
    assert fastest(replace(asked, device=roomy)) <= fastest(asked)


@pytest.mark.parametrize("name", ["language", "images"])
def test_a_larger_batch_takes_longer(name):
    asked = job(name).on(8)
    larger = replace(asked, global_batch_size=2 * asked.global_batch_size)
    assert fastest(asked) < fastest(larger) <= 2 * fastest(asked) * (1 + 1e-9)


@pytest.mark.parametrize("name", JOBS)
def test_plans_are_plausible(name):
    for plan in search(job(name).on(8)).plans:
        step = plan.step
        assert 0 < step.mfu < 0.85 and step.total.low < step.total.mid < step.total.high
        assert step.communication_s <= step.total.mid and all(part.mid >= 0 for part in step.parts.values())
        assert step.peak_memory_bytes <= job(name).capacity_bytes
