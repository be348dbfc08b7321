"""What comes around the steps of a run, in figures small enough to work out by hand: bills, stops, refusals."""

import math
from types import SimpleNamespace

import pytest
from hand_made import offer

from estimator.ranges import Range
from estimator.whole_run import NEVER, expected_s
from estimator.whole_run.bill import _egress, billed_s, billing_clock
from estimator.whole_run.interruptions import Hazard, together
from estimator.whole_run.run_time import Part, RunTime, _checkpoints, _stalled, refusal


def term(value):
    return SimpleNamespace(low=value, high=value, sources=("a price list",))


@pytest.fixture
def terms(monkeypatch):
    """Terms that a provider publishes, by name; others it does not."""
    found = {}
    monkeypatch.setattr("estimator.whole_run.bill.provider_term", lambda _, name, *rest: found.get(name))
    billing_clock.cache_clear()
    yield found
    billing_clock.cache_clear()


@pytest.mark.parametrize(("step", "paid"), [(None, 61), (1.0, 61), (2.0, 62), (60.0, 120)])
def test_a_clock_of_more_than_a_second_rounds_up(terms, step, paid):
    terms.update({"billing_step": term(step)} if step else {})
    assert billed_s(offer(), 61.0) == paid and billed_s(offer(), 0.5) == (step if paid > 61 else 0.5)


@pytest.mark.parametrize(("free", "gigabytes"), [(None, 10), (4.0, 6), (10.0, 0), (12.0, 0)])
def test_what_is_sent_beyond_what_is_free(terms, free, gigabytes):
    terms["egress"] = term(0.5)
    terms.update({"free_egress": term(free)} if free else {})
    assert _egress(offer(), 10e9).usd.mid == pytest.approx(0.5 * gigabytes)


def test_stops_of_several_causes_add_up():
    """Half a second and a second between: three stops a second... and one that never comes adds none."""
    halves, seconds, never = (Hazard("a", Range.exactly(each), "") for each in (0.5, 1.0, 0.0))
    assert together([halves]).mid == 0.5
    assert together([halves, seconds, never]).mid == pytest.approx(1 / 3)


def test_a_restart_that_takes_forever_is_no_error():
    """A second between stops and 800 to restart: as many seconds as a float can count."""
    assert expected_s(1.0, 1.0, 0.0, 800.0, 1.0) == pytest.approx(math.exp(700.0) * (math.e - 1))
    assert expected_s(701.0, 701.0, 0.0, 0.0, 1.0) == math.inf


def test_nothing_is_saved_unless_said():
    assert RunTime(()).checkpoint_bytes == 0


@pytest.mark.parametrize(("writers", "told"), [(1, " in 5.00 s every"), (2, " in 5.00 s by 2 machines every")])
def test_who_writes_a_checkpoint_is_told(writers, told):
    given = SimpleNamespace(checkpoint_every_s=60, storage_bytes_per_s=None)
    state = SimpleNamespace(overheads=given, checkpoint_bytes=1e9, write_s=Range.exactly(5.0), writers=writers)
    assert told in _checkpoints(state, 60.0, Range.exactly(5.0)).numbers


@pytest.mark.parametrize(("waiting", "stalled"), [(0.0, False), (0.5, True)])
def test_steps_that_wait_at_all_are_stalled(waiting, stalled):
    part = Part("data stalls", Range.exactly(waiting), str, str, "")
    assert _stalled([part]) == stalled and not _stalled([Part("training", Range.exactly(9.0), str, str, "")])


def whole(work_s):
    return RunTime((), work_s, 0.0, hazards=(Hazard("failures", Range.exactly(10_000.0), ""),))


def test_a_run_that_saves_nothing_is_refused_where_a_stop_is_more_likely_than_not():
    """Half of the runs of ln 2 = 0.693 of the time between stops end; of as long as that exp(-1) = 37 %.

    A checkpoint of a minute then: sqrt(2 x 60 x 10,000) (1 + sqrt(0.003) / 3 + 0.003 / 9) - 60 = 1,055 s (Daly, 2006).
    """
    run = SimpleNamespace(overheads=SimpleNamespace(checkpoint_every_s=NEVER))
    assert refusal(run, whole(6_900.0)) is None
    assert refusal(run, whole(6_950.0)) is not None
    told = refusal(run, whole(10_000.0))
    assert "in 0.37 of cases" in told and "at least every 17.6 min" in told
    often = SimpleNamespace(overheads=SimpleNamespace(checkpoint_every_s=60.0))
    assert refusal(often, whole(10_000.0)) is None
