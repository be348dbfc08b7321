"""Totals of a profile, held against counts by hand."""

import math
from dataclasses import replace

import pytest
from made_traces import RUNS, WIDTH, WORDS, operation, profile

from hardware_db.errors import DataError, UsageError
from profiles.records import PhaseTotals, Uncounted
from profiles.trace_record import RawTrace, fold

PROFILE = profile()
B, S, L = 8, 1024, 3


def test_matrix_products_are_counted_to_the_last_flop():
    """Forward: q, o, head and 2 products of attention. Backward of the fixture: as many, but 5 of flash attention."""
    tokens = B * S
    linear = 2 * tokens * WIDTH * (L * 2 * WIDTH + WORDS)
    scores = 2 * B * S * S * WIDTH * L
    moved = PROFILE.at(B, S)
    assert moved.matmul_flops == PhaseTotals(linear + 2 * scores, linear + 5 * scores)
    vector_forward = B * (S - 1) * WORDS + 2 * L * tokens * WIDTH
    assert moved.flops.forward == moved.matmul_flops.forward + vector_forward
    assert moved.flops.optimizer == PROFILE.parameters


def test_the_three_totals_differ_by_recomputation_and_causality():
    scores = 2 * B * S * S * WIDTH * L
    moved = PROFILE.at(B, S)
    assert moved.matmul_flops.total - moved.model_flops.total == scores  # flash recomputes one product
    assert moved.flops.total - moved.executed_flops.total == 7 * scores // 2  # half of 2 + 5 products


def test_bytes_moved_are_reads_and_writes():
    reads = sum(each.bytes_read * each.count for each in PROFILE.operations)
    writes = sum(each.bytes_written * each.count for each in PROFILE.operations)
    assert PROFILE.bytes_moved.total == reads + writes
    assert PROFILE.arithmetic_intensity == PROFILE.flops.total / (reads + writes)


def test_memory_at_the_peak_is_split_by_holder():
    memory = PROFILE.at(B, S).memory
    row = 2 * B * S * WIDTH
    assert memory.activation_bytes == row * (1 + 5 * L) + L * 16 * B * S + 2 * B * S * WORDS
    assert memory.parameter_bytes == 2 * PROFILE.parameters
    assert (memory.peak_phase, memory.peak_module) == ("forward", "head")
    assert PROFILE.at(B, S).peak_memory_bytes == memory.peak_bytes


def test_what_has_no_formula_is_listed_by_its_share_of_the_bytes():
    calls = [
        operation("a", operator="x.known", bytes_read=100, bytes_written=0),
        operation("a", operator="x.new", counted=False, bytes_read=200, bytes_written=50, count=2),
        operation("b", operator="x.rare", counted=False, bytes_read=0, bytes_written=400),
    ]
    known = profile(fold(RawTrace(calls, [], 2, None)), module_parameters=())
    assert known.uncounted == (Uncounted("x.new", 2, 500 / 1000), Uncounted("x.rare", 1, 400 / 1000))


def test_a_model_that_does_nothing_has_no_intensity_and_no_memory():
    empty = profile(fold(RawTrace([], [], 1, None)))
    assert math.isnan(empty.arithmetic_intensity)
    assert empty.uncounted == ()
    assert empty.flops == PhaseTotals()
    with pytest.raises(DataError, match="no record of memory"):
        empty.memory  # noqa: B018


def test_another_size_keeps_everything_else():
    moved = PROFILE.at(B, S)
    assert (moved.batch_size, moved.sequence_length) == (B, S)
    assert replace(moved, trace=PROFILE.trace) == PROFILE
    assert moved.at(*RUNS[0]) == PROFILE
    assert PROFILE.at() is PROFILE
    assert PROFILE.table(B, S).flops.tolist() == moved.table().flops.tolist()


def test_a_sequence_longer_than_the_model_takes_is_refused():
    limited = replace(PROFILE, sequence_limit=1024)
    assert limited.at(2, 1024).sequence_length == 1024
    with pytest.raises(UsageError, match="invented takes at most 1,024 tokens; given: 2,000"):
        limited.at(2, 2000)


def test_profiles_are_hashable_and_equal_by_content():
    again = profile()
    assert again == PROFILE
    assert hash(again) == hash(PROFILE)
    assert PROFILE.at(3) != PROFILE
    assert len({PROFILE, again, PROFILE.at(3)}) == 2
