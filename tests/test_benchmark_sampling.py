"""How repeats are taken, with a clock that is made up."""

from types import SimpleNamespace

import pytest

from profiles.benchmark import session
from profiles.benchmark.catalogue import cases, ground
from profiles.benchmark.clock import Reading
from profiles.benchmark.conditions import (
    Drift,
    HostTimes,
    change_remarks,
    load_remarks,
    start_remarks,
    steadiness_remarks,
)
from profiles.benchmark.gpu_state import parse, remarks
from profiles.benchmark.sampling import Effort, Sample, agree, sample
from profiles.benchmark.session import _Journal
from profiles.machine_profile import FAMILIES, Timing


class MadeClock:
    """Gives the seconds it was made with, one a reading, and lets that time pass."""

    def __init__(self, *seconds):
        self.seconds, self.time, self.calls = list(seconds), 0.0, []

    def read(self, call, calls):
        for _ in range(calls):
            call()
        self.calls.append(calls)
        taken = self.seconds.pop(0) if len(self.seconds) > 1 else self.seconds[0]
        self.time += taken * calls
        return Reading(taken, 2 * taken)

    def now(self):
        return self.time


def taken(clock, **effort):
    return sample([lambda: None], clock, Effort(**{"seconds": 100.0, **effort}), clock.now)


def test_stops_when_two_estimates_agree():
    found = taken(MadeClock(1.0), fewest=5)
    assert found.stable
    assert found.seconds == (1.0,) * 5
    assert found.wall_seconds == (2.0,) * 5


def test_goes_on_until_they_agree():
    restless = [9.0, 9.0, 1.0, 2.0, 1.0, 2.0, 1.0, 2.0, 1.5, 1.5, 1.5, 1.5, 1.5, 1.5, 1.5, 1.5]
    found = taken(MadeClock(*restless), fewest=4)
    assert found.stable
    assert len(found.seconds) > 4
    assert agree(found.seconds)


def test_stops_when_time_is_up():
    clock = MadeClock(*[1.0, 2.0] * 50)
    found = taken(clock, seconds=10.0, fewest=3)
    assert not found.stable
    assert 3 <= len(found.seconds) <= 8


def test_takes_two_repeats_however_little_time_there_is():
    assert len(taken(MadeClock(1.0), seconds=0.0).seconds) == 2


def test_warm_up_does_not_count():
    found = taken(MadeClock(50.0, 5.0, 1.0))
    assert set(found.seconds) == {1.0}
    assert found.slow_start == pytest.approx(4.0)


def test_short_calls_are_timed_together():
    clock = MadeClock(2.0**-20)
    taken(clock, repeat_s=2.0**-10)
    assert clock.calls[:2] == [1, 1]
    assert clock.calls[2] == 2**10


def test_variants_take_turns():
    seen = []
    sample([lambda: seen.append("a"), lambda: seen.append("b")], MadeClock(1.0), Effort(0.0))
    assert seen == ["a", "b", "a", "b"]


@pytest.mark.parametrize(
    ("seconds", "agrees"), [([1.0], False), ([1.0, 1.01], True), ([1.0, 1.03], False), ([1.0, 5.0, 1.0, 1.01], False)]
)
def test_agreement_is_within_two_percent(seconds, agrees):
    assert agree(seconds) is agrees


def test_load_is_said_with_its_remedy():
    half = Sample((Reading(1.0, 2.0),), True, 0.0)
    assert load_remarks([half]) == [
        "other programs took 50% of the time; it is left out of the figures, but they share caches and "
        "memory: stop them and measure again"
    ]
    assert load_remarks([Sample((Reading(1.0, 1.05),), True, 0.0)]) == []


def test_a_device_that_becomes_slower_is_said():
    assert Drift(1.0, 1.04).remarks() == []
    assert "20% longer at the end" in Drift(1.0, 1.2).remarks()[0]


def test_time_that_a_host_takes_away_is_said(tmp_path):
    quota = tmp_path / "cpu.stat"
    quota.write_text("usage_usec 5\nnr_throttled 3\nthrottled_usec 2500000\n", encoding="utf-8")
    assert HostTimes.now(quota).throttled_s == 2.5
    assert HostTimes.now(tmp_path / "none").throttled_s == 0
    before, after = HostTimes(100.0, 1.0, 0.0), HostTimes(200.0, 11.0, 2.5)
    stolen, held = after.remarks(before)
    assert "gave 10% of the processors' time to other machines" in stolen
    assert "waited 2.5 s for its quota" in held
    assert HostTimes(200.0, 1.5, 0.0).remarks(before) == []


def test_clocking_up_and_unsteady_figures_are_said():
    assert "9% slower" in start_remarks([Sample((Reading(1.0, 1.0),), True, 0.09)])[0]
    loose = Timing("add", "elementwise", "float32", (1.0, 2.0, 3.0), stable=False)
    assert steadiness_remarks([loose, loose])[0].startswith("2 of 2 figures did not settle")


def test_a_throttled_card_is_said():
    state = parse("1200, 1980, 88, 700.1, 700, Not Active, Active, Active, Not Active", "41\n42\n", 42)
    assert state.slowed_by == ("heat", "its power limit")
    said = remarks(state)
    assert "to 1200 MHz because of heat (88.0 °C): let it cool" in said[0]
    assert "nvidia-smi -pl" in said[1]
    assert said[2].startswith("1 other processes use the card")


def test_a_card_that_says_nothing_is_no_failure():
    state = parse("[N/A], [N/A], [N/A], [N/A], [N/A]", "", 42)
    assert state.clock_mhz is None
    assert remarks(state) == []
    assert remarks(None) == []


@pytest.mark.parametrize("kind", ["cpu", "gpu"])
@pytest.mark.parametrize("full", [False, True])
def test_names_of_cases_are_unique_and_families_known(kind, full):
    chosen = cases(kind, full, ("float32", "bfloat16"))
    assert len({case.name for case in chosen}) == len(chosen)
    assert {case.family for case in chosen} <= set(FAMILIES)


def test_every_kind_of_work_is_timed():
    processor = {case.family for case in cases("cpu", False, ("float32",))}
    card = {case.family for case in cases("gpu", False, ("bfloat16", "float32"))}
    assert set(FAMILIES) - processor == {"collective", "training step", "host to device", "device to host"}
    assert set(FAMILIES) - card == {"collective", "training step", "fresh memory"}


def test_quick_mode_is_part_of_the_full_one():
    quick = {case.name for case in cases("cpu", False, ("float32",))}
    assert quick < {case.name for case in cases("cpu", True, ("float32",))}


def test_what_a_processor_cannot_do_without_is_timed_first_and_whatever_the_time():
    chosen = cases("cpu", False, ("float32",))
    needed = [ground(case, "cpu") for case in chosen]
    assert sum(needed) > 10
    assert needed.index(False, 1) == 1 + sum(needed)
    assert not any(ground(case, "gpu") for case in cases("gpu", False, ("float32",)))


def timed(name, *seconds):
    return Timing(name, "matmul", "float32", seconds, wall_seconds=seconds), Sample(
        tuple(Reading(each, each) for each in seconds), True, 0.0
    )


def test_a_second_pass_adds_its_repeats_and_says_how_it_differs():
    journal = _Journal()
    for pair in (timed("a", 1.0, 1.0), timed("b", 2.0), timed("a", 1.5, 1.5)):
        journal.add(*pair)
    assert journal.timings["a"].seconds == (1.0, 1.0, 1.5, 1.5) == journal.samples["a"].seconds
    assert journal.changes == [1.5]
    assert journal.latest is journal.timings["a"]
    assert "50% more or less" in change_remarks(journal.changes)[0]
    assert change_remarks([1.01, 0.99]) == change_remarks([]) == []


def passes(monkeypatch, *speeds):
    """Run the passes over two cases on a machine that is so fast in each of them; return how often a case ran."""
    ran = []

    def record(target, case, effort, journal):
        ran.append(case.name)
        journal.add(*timed(case.name, speeds[min((len(ran) - 1) // 2, len(speeds) - 1)]))

    monkeypatch.setattr(session, "_record", record)
    monkeypatch.setattr(session, "_look_again", lambda *_: None)
    target = SimpleNamespace(lab=SimpleNamespace(kind="gpu"))
    session._run(target, cases("gpu", False, ("float32",))[:2], session.Plan(), _Journal(), lambda _: None)
    return len(ran) / 2


def test_passes_are_repeated_until_they_agree(monkeypatch):
    assert passes(monkeypatch, 1.0) == 2
    assert passes(monkeypatch, 1.3, 1.0, 1.0) == 3
    assert passes(monkeypatch, *(1.5**n for n in range(20))) == session.MOST_PASSES
