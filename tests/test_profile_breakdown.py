"""What a profile sums to: the tree of modules and groups of operations."""

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from made_traces import WIDTH, made, operation, product, profile, transformer

from hardware_db.errors import DataError
from profiles.breakdown import by_label, module_tree
from profiles.records import PHASES, PhaseTotals

PROFILE = profile().at(8, 1024)


# ------------------------------------------------------------------------------------------------------------ modules

paths = st.lists(st.sampled_from(["h", "a", "0", "1", "2", "b.3"]), max_size=4).map(".".join)
calls = st.builds(
    operation,
    module=paths,
    phase=st.sampled_from(PHASES),
    operator=st.sampled_from(["x.a", "x.b"]),
    flops=st.integers(0, 100),
    bytes_read=st.integers(0, 100),
)


def sums(rows):
    return (
        sum((row.flops for row in rows), PhaseTotals()),
        sum((row.bytes_moved for row in rows), PhaseTotals()),
        sum(row.calls for row in rows),
        sum(row.parameters for row in rows),
        sum(row.activation_bytes for row in rows),
    )


@settings(deadline=None)
@given(st.lists(calls, max_size=25), st.integers(0, 6))
def test_modules_sum_to_the_totals_at_any_depth(raw, depth):
    known = made(raw)
    assert sums(known.by_module(depth))[:3] == (known.flops, known.bytes_moved, len(raw))


@settings(deadline=None)
@given(st.lists(calls, max_size=25))
def test_every_row_of_the_tree_is_the_sum_of_what_is_inside(raw):
    def check(row):
        if row.children:
            assert sums([row]) == sums(row.children)
        for inner in row.children:
            assert inner.path.startswith(row.path)
            check(inner)

    check(module_tree(made(raw)))


@pytest.mark.parametrize("depth", range(6))
def test_parameters_and_activations_sum_to_the_totals(depth):
    flops, moved, count, parameters, kept = sums(PROFILE.by_module(depth))
    assert (flops, moved, parameters) == (PROFILE.flops, PROFILE.bytes_moved, PROFILE.parameters)
    assert count == sum(each.count for each in PROFILE.operations)
    assert kept == sum(transformer(8, 1024).kept.values())


def test_equal_layers_share_a_row_and_open_deeper_down():
    assert [row.path for row in PROFILE.by_module(1)] == ["", "model", "head", ""]
    assert [(row.name, row.layers) for row in PROFILE.by_module(2) if "layers" in row.path] == [("layers (×3)", 3)]
    deeper = {row.path: row for row in PROFILE.by_module(4)}
    assert deeper["model.layers.[0-2].attn.q"].layers == 3
    assert deeper["model.layers.[0-2].attn.q"].flops.forward == 3 * 2 * 8 * 1024 * WIDTH * WIDTH
    assert deeper["model.layers.[0-2].attn.q"].parameters == 3 * WIDTH * WIDTH


def test_layers_that_differ_are_told_apart():
    raw = [product(f"net.{at}", "forward", 4, 8, 8) for at in (0, 2)]
    raw += [operation(f"net.{at}", operator="aten.relu") for at in (1, 3)]
    rows = {row.name: row for row in made(raw).by_module(2)}
    assert set(rows) == {"[0,2] (×2)", "[1,3] (×2)"}
    assert rows["[0,2] (×2)"].flops.total == 2 * 2 * 4 * 8 * 8


def test_layers_of_other_sizes_are_told_apart_by_their_parameters():
    raw = [product(f"net.{at}", "forward", 4, 8, 8) for at in range(4)]
    owned = (("net.[0-1]", 20), ("net.[2-3]", 40))
    rows = made(raw, module_parameters=owned, parameters=60).by_module(2)
    assert [(row.name, row.parameters) for row in rows] == [("[0-1] (×2)", 20), ("[2-3] (×2)", 40)]


def test_a_layer_that_only_the_backward_pass_treats_differently_stays_with_the_others():
    raw = [product(f"h.{at}", "forward", 4, 8, 8) for at in range(4)] + [operation("h.0", "backward", operator="x.sum")]
    assert [row.name for row in made(raw).by_module(1)] == ["h (×4)"]


def test_parameters_that_layers_cannot_share_are_refused():
    with pytest.raises(DataError, match=r"7 parameters cannot be shared equally by the layers 'h.\[0-1\]'"):
        made([], module_parameters=(("h.[0-1]", 7),)).by_module(1)


def test_experts_in_layers_share_exactly():
    raw = [operation(f"layers.{a}.experts.{b}.w") for a in range(3) for b in range(8)]
    rows = made(raw).by_module(3)
    assert [(row.path, row.layers, row.calls) for row in rows] == [("layers.[0-2].experts.[0-7].w", 24, 24)]


# -------------------------------------------------------------------------------------------------------------- groups


@pytest.mark.parametrize("column", ["family", "operator", "phase", "precision", "engine", "source"])
def test_groups_sum_to_the_totals(column):
    rows = by_label(PROFILE, column)
    assert sum((row.flops for row in rows), PhaseTotals()) == PROFILE.flops
    assert sum((row.bytes_moved for row in rows), PhaseTotals()) == PROFILE.bytes_moved
    assert len({row.name for row in rows}) == len(rows)


def test_phases_come_in_order_and_families_by_size():
    assert [row.name for row in PROFILE.by_phase()] == list(PHASES)
    totals = [row.flops.total for row in PROFILE.by_family()]
    assert totals == sorted(totals, reverse=True)
    assert [row.name for row in PROFILE.by_operator() if not row.counted] == ["my.loss"]


def test_a_frame_has_one_row_for_every_operation():
    frame = PROFILE.to_frame()
    assert len(frame) == len(PROFILE.operations)
    assert int((frame["flops"] * frame["count"]).sum()) == PROFILE.flops.total
    first = frame.iloc[0]
    assert (first["operator"], first["inputs"]) == ("aten.embedding", "bfloat16[1000×64], int64[8×1024]")
