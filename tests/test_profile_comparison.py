"""Two profiles side by side, and the gate that fails a build."""

import re
from dataclasses import replace

import pytest
from made_traces import direct, module_parameters, operation, profile, transformer

from hardware_db.errors import UsageError
from profiles.comparison import QUANTITIES, compare, gate, gate_report
from profiles.trace_record import RawTrace, fold

PROFILE = profile().at(8, 1024)


def test_two_profiles_side_by_side():
    found = compare(profile().at(2, 128), profile().at(4, 128))
    rows = {each.quantity: each for each in found.quantities}
    assert set(rows) == set(QUANTITIES)
    assert rows["matmul_flops"].change == 1.0
    assert rows["parameters"].change == 0.0
    assert rows["flops.optimizer"].change == 0.0
    assert {each.quantity for each in found.families} >= {"family matmul", "family attention"}
    assert sum(each.right for each in found.families) == found.right.flops.total
    frame = found.to_frame().set_index("quantity")
    assert frame.loc["flops", "left"] == found.left.flops.total
    shown = repr(found)
    assert "batch 2 × 128" in shown
    assert "batch 4 × 128" in shown
    assert re.search(r"^matmul_flops +\S+ \S+ +\S+ \S+ +\+100 %$", shown, re.MULTILINE)
    assert "<table>" in found._repr_html_()


def test_what_was_not_there_before_is_new():
    other = replace(direct(2, 64).operations[0], family="fft", flops=10, operator="aten.fft")
    with_memory = RawTrace([other], transformer(2, 64).timeline, 2, 64)
    found = compare(profile(direct(2, 64)), profile(fold(with_memory)))
    rows = {each.quantity: each for each in found.families}
    assert (rows["family fft"].left, rows["family fft"].right) == (0, 10)
    assert "new" in repr(found)


# ---------------------------------------------------------------------------------------------------------------- gate


def grown(percent):
    """A profile whose FLOPs grew from 100 by whole percents and whose memory stayed."""
    calls = [operation("a", flops=100 + percent)]
    return profile(fold(RawTrace(calls, transformer(2, 64).timeline, 2, 64)))


@pytest.mark.parametrize(("percent", "passes"), [(-50, True), (0, True), (2, True), (3, False)])
def test_the_gate_opens_up_to_the_limit_and_not_beyond(percent, passes):
    violations = gate(grown(percent), grown(0), {"flops": 0.02, "memory": 0.05})
    assert (not violations) is passes
    if violations:
        assert [str(each) for each in violations] == ["flops: 100 FLOPs -> 103 FLOPs (+3 %, allowed +2 %)"]


def test_the_gate_watches_memory_and_bytes_by_their_short_names():
    heavier = profile(fold(RawTrace([operation("a", flops=100)], transformer(2, 64, layers=4).timeline, 2, 64)))
    violations = gate(heavier, grown(0), {"memory": 0.05, "bytes": 0.0, "parameters": 0.0})
    assert [each.difference.quantity for each in violations] == ["peak_memory_bytes"]
    assert violations[0].difference.right == heavier.peak_memory_bytes


def test_a_negative_limit_demands_an_improvement():
    assert gate(grown(-5), grown(0), {"flops": -0.1})
    assert not gate(grown(-15), grown(0), {"flops": -0.1})


@pytest.mark.parametrize(
    ("limits", "message"),
    [
        ({"speed": 0.1}, "'speed' is no quantity of a profile. There are: memory, bytes"),
        ({"flops": float("nan")}, "limit for flops must be a number"),
        ({"flops": float("inf")}, "limit for flops must be a number"),
    ],
)
def test_limits_that_make_no_sense_are_refused(limits, message):
    with pytest.raises(UsageError, match=message):
        gate(grown(0), grown(0), limits)


@pytest.mark.parametrize(
    "changes",
    [{"mode": "forward"}, {"precision": "float32"}, {"optimizer": "sgd"}, {"device": "cpu"}, {"image_size": 32}],
)
def test_only_like_is_compared_with_like(changes):
    with pytest.raises(UsageError, match="The baseline has"):
        gate(grown(0), replace(grown(0), **changes), {"flops": 0.02})
    with pytest.raises(UsageError, match="batch size"):
        gate(PROFILE, PROFILE.at(9), {"flops": 0.02})


def test_the_report_is_a_markdown_table():
    lines = gate_report(grown(3), grown(0), {"flops": 0.02, "memory": 0.05}).splitlines()
    assert lines[2] == "| flops | 100 FLOPs | 103 FLOPs | +3 % | +2 % | **too much** |"
    assert lines[3].endswith("| 0 % | +5 % | ok |")
    assert {line.count("|") for line in lines[:4]} == {7}
    assert "1 multiply-add = 2 FLOPs" in lines[-1]


def test_module_parameters_of_the_fixture_add_up():
    assert sum(count for _, count in module_parameters()) == PROFILE.parameters


def test_gradients_are_those_of_the_whole_step_and_not_of_its_peak():
    """At the peak, when the backward pass begins, there is none."""
    rows = {each.quantity: each for each in compare(PROFILE, PROFILE).quantities}
    most = max(moment.gradient_bytes for moment in PROFILE.trace.timeline)
    assert rows["gradient_bytes"].left == most > PROFILE.memory.gradient_bytes
