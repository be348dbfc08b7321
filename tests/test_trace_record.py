"""From single calls to a folded, symbolic record: lossless at the recorded sizes, exact at all others."""

from collections import Counter
from dataclasses import replace
from math import nan

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from made_traces import RUNS, SINGLE_RUNS, direct, operation, spec, symbolic_trace, transformer

from hardware_db.errors import DataError, UsageError
from profiles.growth_fit import BATCH_RUNS
from profiles.layers import expand_path, layer_count
from profiles.operation_trace import numbers_of, with_numbers
from profiles.records import PHASES, MemoryFootprint, PhaseTotals
from profiles.timeline import HOLDERS, MOST_MOMENTS
from profiles.trace_record import LiveBytes, RawTrace, SizeDependent, fit_growth, fold

TRACE = symbolic_trace()

modules = st.builds(
    "{}.{}.{}".format, st.sampled_from(["h", "experts"]), st.integers(0, 4), st.sampled_from(["attn", "mlp.0", "mlp.1"])
)
tensors = st.builds(spec, st.integers(1, 3), st.integers(1, 3), dtype=st.sampled_from(["float32", "int64"]))
calls = st.builds(
    operation,
    module=modules,
    phase=st.sampled_from(PHASES),
    flops=st.integers(0, 2),
    counted=st.booleans(),
    inputs=st.lists(tensors, max_size=2).map(tuple),
    dims=st.sampled_from([(), (("m", 3),), (("m", 4),)]),
)


def unfolded(trace):
    """Every single call again: (operation with its one module and count 1) -> calls."""
    found = Counter()
    for each in trace.operations:
        for module in expand_path(each.module):
            found[replace(each, module=module, count=1)] += each.count // layer_count(each.module)
    return found


@given(st.lists(calls, max_size=60))
def test_folding_loses_no_call(raw):
    assert unfolded(fold(RawTrace(raw, [], 2, None))) == Counter(raw)


def test_equal_layers_become_one_operation_with_a_range_and_a_count():
    trace = direct(2, 64, layers=12)
    found = [each for each in trace.operations if each.module.endswith("attn.q") and each.phase == "forward"]
    assert [(each.module, each.count) for each in found] == [("model.layers.[0-11].attn.q", 12)]


def test_what_one_layer_does_alone_keeps_its_own_row():
    raw = transformer(2, 64)
    raw.operations.append(operation("model.layers.1.attn.q", flops=999))
    assert [each.module for each in fold(raw).operations if each.flops == 999] == ["model.layers.1.attn.q"]


def test_a_trace_that_is_folded_already_folds_to_itself():
    trace = direct(2, 64)
    again = fold(RawTrace(list(trace.operations), [], 2, 64))
    assert again.operations == trace.operations


def test_calls_that_their_layers_cannot_share_are_refused():
    with pytest.raises(DataError, match=r"5 calls of aten.add cannot be shared equally by 'h.\[0-3\]'"):
        fold(RawTrace([operation("h.[0-3]", count=5)], [], 2, None))


@given(calls)
def test_numbers_go_out_and_in_again(call):
    assert with_numbers(call, numbers_of(call)) == call
    doubled = with_numbers(call, [2 * number for number in numbers_of(call)])
    assert numbers_of(doubled) == [2 * number for number in numbers_of(call)]


@settings(deadline=None, max_examples=20)
@given(batch=st.integers(1, 40), length=st.integers(2, 5000))
def test_another_size_is_what_a_trace_at_that_size_would_have_shown(batch, length):
    moved, traced = TRACE.at(batch, length), direct(batch, length)
    assert Counter(moved.operations) == Counter(traced.operations)
    assert moved.memory == traced.memory
    assert moved.activation_bytes == traced.activation_bytes
    for quantity in ("flops", "model_flops", "executed_flops", "bytes_moved"):
        assert moved.table.totals(quantity) == traced.table.totals(quantity)


def test_the_recorded_sizes_come_back_as_they_were():
    for batch, length in (*RUNS, *SINGLE_RUNS):
        assert Counter(TRACE.at(batch, length).operations) == Counter(direct(batch, length).operations)


def test_operators_that_vanish_at_batch_size_one_vanish():
    expands = [sum(each.operator == "aten.expand" for each in TRACE.at(batch).operations) for batch in (1, 2, 3)]
    assert expands == [0, 1, 1]


def test_batch_size_one_is_said_to_be_inexact_if_it_was_not_traced():
    larger = symbolic_trace(single=False)
    assert [larger.at(batch).exact for batch in (1, 2, 7)] == [False, True, True]
    assert TRACE.at(1).exact
    assert not TRACE.at(2, 1).exact


def test_images_need_three_batch_sizes_and_have_no_length():
    def raw(batch):
        return RawTrace([operation("conv", flops=10 * batch, inputs=(spec(batch, 3),))], [], batch, None)

    trace = fit_growth([raw(batch) for batch in BATCH_RUNS])
    assert trace.at(64).operations[0].flops == 640
    assert trace.at(64).operations[0].inputs[0].shape == (64, 3)
    with pytest.raises(UsageError, match="no sequence length"):
        trace.at(64, 128)


@pytest.mark.parametrize(
    ("batch", "length", "message"),
    [
        (0, None, "batch size must be a whole number from 1 up; given: 0"),
        (-3, None, "given: -3"),
        (True, None, "given: True"),
        (2.5, None, "given: 2.5"),
        (None, 0, "sequence length must be a whole number from 1 up"),
    ],
)
def test_sizes_that_are_none_are_refused(batch, length, message):
    with pytest.raises(UsageError, match=message):
        TRACE.at(batch, length)


def test_a_single_trace_holds_for_its_own_size_only():
    trace = direct(2, 64)
    assert not trace.symbolic
    assert trace.at(2, 64) is trace
    with pytest.raises(UsageError, match="batch size of 2 only; given: 3"):
        trace.at(3)
    with pytest.raises(UsageError, match="sequence length of 64 only; given: 65"):
        trace.at(2, 65)


def test_sizes_with_a_common_factor_promise_only_its_multiples():
    runs = ((2, 128), (3, 128), (2, 192), (3, 256), (2, 320), (5, 64))
    trace = fit_growth([transformer(*run) for run in runs])
    assert trace.at(7, 640).memory == direct(7, 640).memory
    with pytest.raises(UsageError, match="multiples of 64; given: 100"):
        trace.at(7, 100)


def test_other_calls_at_another_size_are_a_reason():
    raws = [transformer(*run) for run in RUNS]
    del raws[3].operations[5]
    with pytest.raises(SizeDependent, match="makes 36 calls at batch 2 × 96 and 35 at batch 3 × 131"):
        fit_growth(raws)


def test_another_kind_of_call_at_another_size_is_a_reason():
    raws = [transformer(*run) for run in RUNS]
    raws[1].operations[0] = replace(raws[1].operations[0], precision="float32")
    with pytest.raises(SizeDependent, match=r"aten.embedding in 'model.embed' is another kind of call at batch 3 × 65"):
        fit_growth(raws)


def test_another_order_of_allocations_is_a_reason():
    raws = [transformer(*run) for run in RUNS]
    raws[2].timeline.reverse()
    with pytest.raises(SizeDependent, match="Allocations come in another order at batch 2 × 128"):
        fit_growth(raws)


def test_runs_with_and_without_a_length_do_not_mix():
    with pytest.raises(SizeDependent, match="Some runs have a sequence length"):
        fit_growth([RawTrace([], [], 2, 64), RawTrace([], [], 3, None)])


# ------------------------------------------------------------------------------------------------------------ memory


def moment(values, place=0):
    return LiveBytes(PHASES[place % 3], f"h.{place}", *values)


@given(st.lists(st.tuples(*[st.integers(0, 1000)] * 6), min_size=1, max_size=50))
def test_the_peak_is_the_first_of_the_largest_moments(rows):
    trace = fold(RawTrace([], [moment(row, at) for at, row in enumerate(rows)], 2, None))
    highest = max(rows, key=sum)
    assert trace.memory.peak_bytes == sum(highest)
    at = next(at for at, row in enumerate(rows) if sum(row) == sum(highest))
    assert trace.memory == MemoryFootprint(*rows[at], PHASES[at % 3], f"h.{at}")


@given(
    moments=st.lists(st.tuples(*[st.integers(0, 50)] * 3), min_size=1, max_size=40),
    batch=st.integers(1, 2000),
    length=st.integers(1, 3000),
)
def test_the_peak_moves_with_the_size(moments, batch, length):
    """Parameters, gradients and activations that grow differently: a constant, with the batch, and with the tokens."""

    def live(batch, length):
        return [
            moment((1000 * a, 0, 0, 0, 100 * b * batch, c * batch * length), at) for at, (a, b, c) in enumerate(moments)
        ]

    trace = fit_growth([RawTrace([], live(*run), *run) for run in RUNS]).at(batch, length)
    assert trace.memory.peak_bytes == max(each.total_bytes for each in live(batch, length))


def test_a_long_timeline_is_thinned_but_keeps_peaks_and_valleys():
    rng = np.random.default_rng(0)
    totals = rng.integers(1000, 10**6, 50_000)
    totals[31_234] = 10**7
    totals[5] = 1
    trace = fold(RawTrace([], [moment((0, 0, 0, 0, 0, int(size))) for size in totals], 2, None))
    kept = [each.activation_bytes for each in trace.timeline]
    assert len(kept) <= MOST_MOMENTS + 10
    assert max(kept) == 10**7
    assert min(kept) == 1
    assert trace.memory.activation_bytes == 10**7
    assert trace.timeline[0].activation_bytes == totals[0]
    assert trace.timeline[-1].activation_bytes == totals[-1]


def test_a_short_timeline_is_kept_whole():
    raw = transformer(2, 64)
    assert fold(raw).timeline == tuple(raw.timeline)


def test_without_a_timeline_the_memory_is_unknown():
    trace = fold(RawTrace([operation()], [], 2, None))
    assert trace.memory is None
    assert trace.timeline == ()
    assert trace.activation_bytes == {}


def test_what_modules_keep_is_summed_over_equal_layers():
    row = 2 * 2 * 64 * 64
    assert direct(2, 64).activation_bytes["model.layers.[0-2].attn.q"] == 3 * row
    assert sum(direct(2, 64).activation_bytes.values()) == sum(transformer(2, 64).kept.values())


def test_other_modules_that_keep_something_are_a_reason():
    raws = [transformer(*run) for run in RUNS]
    raws[4].kept["elsewhere"] = 5
    with pytest.raises(SizeDependent, match="Other modules keep activations at batch 5 × 77"):
        fit_growth(raws)


def test_holders_are_the_fields_of_a_footprint():
    assert tuple(MemoryFootprint.__dataclass_fields__)[:6] == HOLDERS


# ------------------------------------------------------------------------------------------------------------- table


def test_the_table_says_what_the_operations_say():
    trace = TRACE.at(4, 100)
    table = trace.table
    for name in ("flops", "model_flops", "executed_flops", "bytes_read", "bytes_written", "bytes_moved", "count"):
        assert getattr(table, name).tolist() == [getattr(each, name) for each in trace.operations]
    for name in ("family", "phase", "engine", "precision", "operator", "module", "source"):
        assert getattr(table, name).values.tolist() == [getattr(each, name) for each in trace.operations]
    for name in ("m", "n", "k", "batch"):
        expected = [dict(each.dims).get(name, nan) for each in trace.operations]
        np.testing.assert_array_equal(getattr(table, name), expected)
    assert table.counted.tolist() == [each.counted for each in trace.operations]
    assert len(table) == len(trace.operations)


def test_a_size_that_only_some_operations_have_is_a_column_too():
    calls = [operation("a", dims=(("m", 3), ("head_dim", 64))), operation("b")]
    table = fold(RawTrace(calls, [], 2, None)).table
    np.testing.assert_array_equal(table.dims["head_dim"], [64, nan])


def test_totals_do_not_overflow():
    huge = [operation("a", flops=4 * 10**18, count=1000), operation("b", phase="backward", flops=10**20)]
    table = fold(RawTrace(huge, [], 2, None)).table
    assert table.totals("flops") == PhaseTotals(forward=4 * 10**21, backward=10**20)


def test_labels_select_and_map():
    table = TRACE.table
    assert table.engine.mask("matrix").tolist() == [each.engine == "matrix" for each in TRACE.operations]
    peaks = table.precision.map({"bfloat16": 2.0})
    assert set(peaks.tolist()) == {2.0}
    assert np.isnan(table.precision.map({})).all()
    assert len(table.precision) == len(table)


def test_an_empty_trace_is_no_special_case():
    trace = fold(RawTrace([], [], 1, None))
    assert len(trace.table) == 0
    assert trace.table.totals("flops") == PhaseTotals()
    assert trace.operations == ()
