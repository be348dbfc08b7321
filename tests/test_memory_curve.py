"""The course of memory under a profile: bars against the peak, and what is kept for the backward pass."""

import hand_made
import numpy as np
import pytest

import hardware_db
from estimator.memory import memory_of
from estimator.text.memory_curve import bars, curve_lines
from estimator.text.page import Page
from estimator.text.profile_page import profile_text
from profiles.library import Question, find


def test_each_bar_is_the_largest_of_its_stretch():
    assert bars(np.array([1.0, 4.0, 8.0, 2.0]), 8.0, 4) == "▁▄█▂"
    assert bars(np.array([1.0, 8.0, 4.0, 4.0]), 8.0, 2) == "█▄"
    assert bars(np.array([0.0, 0.0]), 0.0, 2) == "▁▁"


def test_the_course_names_the_phases_and_peaks_where_the_step_does():
    """Made by hand: most bytes are alive in the forward pass of a large batch, and in the optimizer of a small one."""
    for batch, length, phase in ((64, 1024, "forward"), (2, 16, "optimizer")):
        profile = hand_made.profile().at(batch, length)
        assert profile.memory.peak_phase == phase
        (label, course), *_ = curve_lines(profile)
        assert label == "Course"
        words = course.split()
        curves = dict(zip(words[::2], words[1::2], strict=True))
        assert list(curves) == ["forward", "backward", "optimizer"]
        assert "█" in curves[phase]


def test_the_page_of_a_profile_shows_it():
    text = profile_text(hand_made.profile(), Page())
    lines = [line.split()[0] for line in text.splitlines() if line]
    assert lines.index("Course") == lines.index("Memory") + 1


RECORDED = ("gpt2", "llama-3.1-405b", "mixtral-8x7b", "resnet50", "t5-small", "vit-b-16")


@pytest.mark.parametrize("name", RECORDED)
def test_the_peak_is_held_where_the_need_of_a_device_says(name):
    profile = find(Question(name, "train", "amp_bfloat16", "adamw", "cuda"))
    length, card = profile.sequence_length, hardware_db.load().device("l4")
    recording = profile.trace.recording
    need = memory_of(profile, 2, length, card)
    assert recording.timeline.peak(2, length).peak_module == need.module or need.phase == "optimizer"


def test_the_arrays_are_the_moments():
    trace = hand_made.profile().at(3, 16).trace
    assert tuple(trace.live) == trace.timeline != ()
    assert trace.live.live.sum(axis=1).max() == hand_made.profile().at(3, 16).peak_memory_bytes
