"""The benchmark of cards, on a torch that is made up: which card is meant, what it can do, when it is looked at."""

from types import SimpleNamespace

import pytest

from profiles.benchmark import gpu_state, session
from profiles.benchmark.cases import Lab
from profiles.benchmark.catalogue import cases
from profiles.benchmark.gpu_state import GpuState
from profiles.benchmark.precisions import has_tf32
from profiles.benchmark.session import _Journal, _look_again
from profiles.benchmark.target import Target
from profiles.machine_profile import Timing


def made_torch(capability=(9, 0), hip=None):
    """Return a torch with two cards that remembers which is the current one."""
    chosen = []
    cuda = SimpleNamespace(
        set_device=chosen.append,
        get_device_capability=lambda card: capability,
        get_device_properties=lambda card: SimpleNamespace(uuid=f"{card}-of-the-box"),
    )
    return SimpleNamespace(cuda=cuda, version=SimpleNamespace(hip=hip), chosen=chosen)


def card(name="cuda:1", **more):
    return Target(Lab(made_torch(**more), name), None, None)


@pytest.mark.parametrize(
    ("capability", "hip", "there"), [((7, 5), None, False), ((8, 0), None, True), ((9, 4), "7.0", True)]
)
def test_tf32_is_timed_where_there_are_units_for_it(capability, hip, there):
    assert has_tf32(Lab(made_torch(capability, hip), "cuda:0")) == there


def test_a_processor_has_no_tf32():
    assert not has_tf32(Lab(made_torch(), "cpu"))


def test_each_card_is_the_current_one_while_it_is_measured(monkeypatch):
    cards, current = [card("cuda:0"), card("cuda:1")], []
    monkeypatch.setattr(session, "usable_precisions", lambda *_: ((), []))
    monkeypatch.setattr(session, "MachineProfile", lambda **fields: fields)
    monkeypatch.setattr(session, "_run", lambda target, *_: current.append(target.lab.torch.chosen[-1]))
    for target in cards:
        session.measure(target, session.Plan())
    assert current == ["cuda:0", "cuda:1"]


def test_a_card_is_asked_for_by_its_uuid_while_it_works(monkeypatch):
    asked, working = [], []

    def time_case(target, case, effort):
        working.append(case)
        return Timing("one", "matmul", "float32", (1.0,)), None

    def look(name, pid):
        while not working:
            pass
        asked.append(name)
        return GpuState(1200.0, 1980.0, 88.0, 700.0, 700.0, (gpu_state.HEAT,))

    monkeypatch.setattr(session, "time_case", time_case)
    monkeypatch.setattr(session, "look", look)
    journal, first = _Journal(), SimpleNamespace(name="one")
    journal.timings["one"] = Timing("one", "matmul", "float32", (1.0,))
    _look_again(card("cuda:1"), first, journal)
    assert asked == ["GPU-cuda:1-of-the-box"]
    assert "because of heat" in journal.notes[0]


def test_double_precision_is_timed_on_a_product_that_a_gaming_card_finishes():
    every = cases("gpu", True, ("bfloat16", "float64"))
    assert [case.name for case in every if case.precision == "float64"] == ["matmul float64 2048x2048x2048 nn"]
    asked = cases("gpu", False, ("float64", "float32"))
    assert len([case for case in asked if (case.family, case.precision) == ("matmul", "float64")]) > 1
