"""Folding module paths loses nothing."""

from collections import Counter

import pytest
from hypothesis import given
from hypothesis import strategies as st

from profiles.layers import expand_path, fold_indices, fold_paths, layer_count, layer_indices, layer_text, split_path

names = st.sampled_from(["h", "attn", "007", "a0", "layer1", "mlp"])
components = st.one_of(names, st.integers(0, 40).map(str))
paths = st.lists(components, max_size=5).map(".".join)


@given(st.dictionaries(paths, st.integers(0, 3), max_size=60))
def test_folded_paths_expand_to_exactly_what_was_folded(values):
    folded = fold_paths(values)
    expanded = [(path, value) for box, value in folded for path in expand_path(box)]
    assert Counter(expanded) == Counter(values.items())
    assert sum(layer_count(box) for box, _ in folded) == len(values)


@given(st.dictionaries(st.tuples(st.integers(0, 6), st.integers(0, 6)), st.booleans(), max_size=49))
def test_boxes_cover_every_pair_once(values):
    covered = [((a, b), value) for (first, second), value in fold_indices(values) for a in first for b in second]
    assert Counter(covered) == Counter(values.items())


@given(st.sets(st.integers(0, 200), min_size=1))
def test_a_set_of_layers_survives_being_written_and_read(layers):
    assert layer_indices(layer_text(layers)) == tuple(sorted(layers))


@pytest.mark.parametrize(
    ("layers", "text"), [([3], "3"), ([0, 1, 2], "[0-2]"), ([0, 2, 5, 6, 7], "[0,2,5-7]"), ([1, 0], "[0-1]")]
)
def test_layers_are_written_as_ranges(layers, text):
    assert layer_text(layers) == text


@pytest.mark.parametrize("name", ["h", "007", "-1", "1a", "[]", "[a]", "[3-1]", "[0-99999999999]", "²", "٣"])
def test_a_name_is_no_layer(name):
    assert layer_indices(name) is None


def test_the_experts_of_every_layer_fold_into_one_path():
    values = {f"layers.{layer}.experts.{expert}.w": 7 for layer in range(32) for expert in range(8)}
    assert fold_paths(values) == [("layers.[0-31].experts.[0-7].w", 7)]
    assert layer_count("layers.[0-31].experts.[0-7].w") == 256


def test_a_path_splits_into_pattern_and_indices():
    assert split_path("h.[0-2].attn.5") == ("h.[].attn.[]", ((0, 1, 2), (5,)))
    assert split_path("") == ("", ())
