"""Parameters and gradients that are whole for a while under ZeRO 2 and 3, moment by moment."""

from types import SimpleNamespace

import numpy as np

from estimator.memory.sharding import Groups, gathered_parameters, groups_of, kept_parameters, whole_gradients


class Fake(SimpleNamespace):
    """A namespace that can be remembered."""

    __hash__ = object.__hash__


def recording(*moments):
    rows = tuple(range(6))
    return Fake(timeline=SimpleNamespace(moments=[(0, phase, module, rows) for phase, module in moments]))


FORWARD = [("forward", name) for name in ("embed", "h.0", "h.1", "h.2", "head")]
BACKWARD = [("backward", name) for name in ("head", "h.2", "h.2", "h.1", "h.1", "h.0", "h.0", "embed")]
STEP = recording(*FORWARD, *BACKWARD)
GROUPS, ALL, MOMENTS = Groups(10, 7), 37, 14
"""Three layers of ten parameters, seven outside of them; thirteen moments and the optimizer's."""


def test_groups_are_the_largest_layer_and_what_is_outside():
    assert groups_of((("h.[0-2].a", 24), ("h.1.b", 6), ("head", 4), ("embed", 3))) == Groups(8 + 6, 7)


def test_zero_3_has_this_layer_and_the_next():
    """All along two layers and what is outside; of the last on the way back one; then only what is outside."""
    assert gathered_parameters(STEP, GROUPS, MOMENTS).tolist() == [27] * 10 + [17] * 2 + [7, 0]


def test_zero_2_of_fsdp_frees_layer_by_layer_on_the_way_back():
    """All parameters, and buffers of two layers until the last one runs, then of one; ten less after each layer."""
    found = kept_parameters(STEP, GROUPS, ALL, MOMENTS).tolist()
    assert found == [57] * 4 + [47] + [37] * 3 + [27] * 2 + [17] * 2 + [7, 0]


def test_gradients_are_whole_until_they_are_on_their_way():
    """Three of the head come first, ten of each layer as it is left, four of the embedding at the end."""
    there = np.array([0.0] * 5 + [3, 3, 13, 13, 23, 23, 33, 37, 37])
    found = whole_gradients(STEP, GROUPS, there).tolist()
    assert found == [0] * 5 + [3, 3, 3 + 10, 3 + 10, 3 + 20, 3 + 10, 3 + 20, 7 + 20, 0]


def test_without_layers_two_of_the_largest_are_whole_at_most():
    plain = recording(("forward", "a"), ("backward", "b"), ("backward", "a"))
    assert whole_gradients(plain, GROUPS, np.array([5.0, 20.0, 37.0, 37.0])).tolist() == [0, 20, 27, 0]
    assert gathered_parameters(plain, GROUPS, 4).tolist() == [27, 27, 27, 0]
    assert kept_parameters(plain, GROUPS, ALL, 4).tolist() == [37, 37, 37, 0]
