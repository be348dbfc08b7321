"""The whole run: each part by hand, nothing counted twice, and what interruptions cost against a simulation."""

import math
import random
from dataclasses import replace
from datetime import date, timedelta

import pytest
from hand_made import database, device, offer, profile
from hypothesis import given
from hypothesis import strategies as st

from estimator import TrainingRun, estimate, estimate_all
from estimator.claims.asking import profile_of
from estimator.parallel.asked import read_split
from estimator.ranges import Range
from estimator.whole_run import NEVER, Overheads, best_interval_s, expected_s
from estimator.whole_run.assumptions import assumption
from estimator.whole_run.bill import billed_s
from estimator.whole_run.compute_optimal import compute_optimal_tokens
from estimator.whole_run.interruptions import failures_of, preemptions_of
from estimator.whole_run.price_spread import SAME, price_spread
from estimator.whole_run.run_time import tuned
from hardware_db import load
from hardware_db.errors import UsageError

DB = database(
    [device("big"), device("tpu-x", kind="tpu", logical_devices=1), device("a100-sxm-80gb")],
    [offer("big", 1, 2.0), offer("tpu-x", 1, 2.0), offer("a100-sxm-80gb", 1, 2.0), offer("big", 8, 20.0),
     offer("big", 1, 1.0, pricing="spot")],
)  # fmt: skip
RUN = TrainingRun(profile(), tokens=1e9, sequence_length=1024)
NOTHING = Overheads(provisioning_s=0, startup_s=0, compile_s=0, device_hours_between_failures=math.inf,
                    storage_bytes_per_s=math.inf, restart_s=0)  # fmt: skip


def with_(**changes):
    return estimate(RUN.replace(overheads=replace(NOTHING, **changes)), "big", database=DB)


def test_nothing_around_the_steps_is_the_steps():
    alone = estimate(RUN.replace(overheads=None), "big", database=DB)
    assert with_().run_time_s == pytest.approx(alone.run_time_s) == pytest.approx(alone.step_time_s * 3815)
    assert [part.name for part in alone.whole.parts] == ["training"]


def test_every_part_is_in_the_total_once():
    row = with_(startup_s=100, provisioning_s=20, eval_every_steps=1000, eval_samples=2560, data_samples_per_s=1.0)
    assert row.run_time_s == pytest.approx(sum(part.seconds.mid for part in row.whole.parts))
    assert len({part.name for part in row.whole.parts}) == len(row.whole.parts)
    assert row.whole.seconds("start-up").mid == 100 and row.whole.seconds("provisioning").mid == 20


def test_the_device_hours_and_the_cost_are_those_of_the_wall_clock():
    row = estimate(RUN.replace(overheads=replace(NOTHING, startup_s=3600)), "big", 8, database=DB)
    assert row.device_hours == pytest.approx(row.run_time_s / 3600 * 8)
    assert row.cost_usd == pytest.approx(row.run_time_s / 3600 * 20.0)


def test_a_slow_loader_decides_and_a_fast_one_costs_nothing():
    samples = 3815 * RUN.global_batch_size
    training = with_().run_time_s
    slow, fast = samples / (2 * training), samples / (0.1 * training)
    assert with_(data_samples_per_s=slow).run_time_s == pytest.approx(2 * training)
    assert with_(data_samples_per_s=slow).run_time_s_low == pytest.approx(2 * training)
    assert with_(data_samples_per_s=fast).run_time_s == pytest.approx(training)


def test_evaluation_is_forward_passes():
    row = with_(eval_every_steps=1000, eval_samples=257)
    step = row.answer.step
    forward = step.forward.mid / step.device.mid * step.total.mid
    # 3,815 steps hold three whole thousands; 257 samples are two batches of 256.
    assert row.whole.seconds("evaluation").mid == pytest.approx(3 * 2 * forward)


def test_checkpoints_are_parameters_and_states_over_the_bandwidth():
    row = with_(checkpoint_every_s=60.0, storage_bytes_per_s=1e9)
    need = row.answer.need
    write = (need.parameter_bytes + need.optimizer_state_bytes) / 1e9
    assert row.whole.checkpoint_bytes == need.parameter_bytes + need.optimizer_state_bytes
    assert row.whole.seconds("checkpoints").mid == pytest.approx(row.whole.seconds("training").mid / 60 * write)


@pytest.mark.parametrize(
    ("count", "split", "machines"),
    [(8, "dp=8", 1), (32, "dp=32", 1), (32, "dp=32,zero=1", 4), (32, "tp=4,pp=2", 1), (32, "tp=4,pp=4", 2)],
)
def test_machines_that_hold_a_part_write_it_side_by_side(count, split, machines):
    """A copy on 16 devices lies on two machines of 8; divided states lie on all; of whole copies one is written."""
    run = TrainingRun(profile_of("gpt2", "amp_bfloat16"), tokens=1e9, split=read_split(split),
                      overheads=replace(NOTHING, checkpoint_every_s=60.0, storage_bytes_per_s=None))  # fmt: skip
    row = estimate(run, "h100-sxm", count, next(iter(load().offers("h100-sxm", "vultr"))), database=load())
    training, write = row.whole.seconds("training").mid, row.whole.checkpoint_bytes / (500 * 2**20)
    assert row.rental.instances == count / 8
    assert row.whole.seconds("checkpoints").mid == pytest.approx(training / 60 * write / machines)


def test_never_saves_once_at_the_end():
    row = with_(checkpoint_every_s=NEVER, storage_bytes_per_s=1e9)
    assert row.whole.seconds("checkpoints").mid == pytest.approx(row.whole.checkpoint_bytes / 1e9)


def test_compilation_is_counted_where_something_compiles():
    def parts(row):
        return [part.name for part in row.whole.parts]

    assert "compilation" not in parts(estimate(RUN, "big", database=DB))
    assert "compilation" in parts(estimate(RUN.replace(compiled=True), "big", database=DB))
    assert "compilation" in parts(estimate(RUN, "tpu-x", database=DB))


@pytest.mark.parametrize(("write", "between"), [(10, 3600), (60, 86400), (300, 7200), (1, 1e6)])
def test_the_best_interval_is_the_best(write, between):
    """Daly's interval against a search of the exact expectation."""
    best = best_interval_s(write, between)
    found = expected_s(1e6, best, write, 600, between)
    searched = min(expected_s(1e6, 1.01**power, write, 600, between) for power in range(100, 1300))
    assert found <= searched * 1.001


def test_young_is_the_first_term():
    assert best_interval_s(1, 1e8) == pytest.approx(math.sqrt(2 * 1e8), rel=1e-3)


def test_the_expected_time_is_that_of_a_simulation():
    chance = random.Random(0)
    work, interval, write, restart, between = 4000.0, 500.0, 20.0, 60.0, 900.0

    def restarted():
        lost = 0.0
        while (gap := chance.expovariate(1 / between)) < restart:
            lost += gap
        return lost + restart

    def one():
        clock, done = 0.0, 0
        while done < work / interval:
            gap = chance.expovariate(1 / between)
            if gap >= interval + write:
                clock, done = clock + interval + write, done + 1
            else:
                clock += gap + restarted()
        return clock

    mean = sum(one() for _ in range(4000)) / 4000
    assert expected_s(work, interval, write, restart, between) == pytest.approx(mean, rel=0.03)


@given(st.floats(1, 1e7), st.floats(1, 1e6), st.floats(0, 1e4), st.floats(0, 1e4), st.floats(10, 1e9))
def test_interruptions_never_shorten_a_run(work, interval, write, restart, between):
    assert expected_s(work, interval, write, restart, between) >= work * (1 - 1e-9)


def test_a_run_that_would_never_end_is_infinite():
    assert expected_s(1e9, 1e9, 10, 10, 1.0) == math.inf


def test_failures_come_from_published_records():
    hazard = failures_of(device("h100-sxm"), 16384)
    # Llama 3: 419 stops in 54 days of 16,384 devices.
    assert hazard.seconds_between.mid == pytest.approx(54 * 86400 / 419)
    assert "Llama 3 405B" in hazard.source
    assert "nothing is published for big" in failures_of(device("big"), 8).source
    assert failures_of(device("big"), 8, 1000.0).seconds_between.mid == pytest.approx(1000 * 3600 / 8)


def test_spot_rates_are_published_or_assumed():
    assert preemptions_of(offer("big"), 1) is None
    assumed = preemptions_of(offer("big", pricing="spot"), 2)
    assert assumed.seconds_between.mid == pytest.approx(24 * 3600 / 2) and assumed.source.startswith("assumed")
    known = preemptions_of(offer("big", pricing="spot", provider="aws", instance="p5.48xlarge"), 1)
    # 20 % of machines a month: a rate of -ln(0.8) a month of 730 hours.
    assert known.seconds_between.low == pytest.approx(730 * 3600 / -math.log(0.8)) and "p5.*" in known.source


def test_spot_machines_are_interrupted_more_often():
    rows = estimate_all(RUN, devices="big", counts=[1], pricing="spot", database=DB)
    assert rows[0].whole.stops.mid > estimate(RUN, "big", database=DB).whole.stops.mid
    assert {hazard.cause for hazard in rows[0].whole.hazards} == {"failures", "preemptions"}


def test_billing_rounds_up_as_the_provider_does():
    assert billed_s(offer(provider="aws"), 10) == 60
    assert billed_s(offer(provider="lambda"), 61) == 120
    assert billed_s(offer(provider="nobody"), 61.5) == 61.5
    assert billed_s(offer(provider="aws"), math.inf) == math.inf


def test_storage_and_egress_are_billed_where_they_are_given():
    db = database([device("big")], [offer("big", 1, 2.0, provider="aws")])
    run = RUN.replace(overheads=replace(NOTHING, stored_bytes=1e12, egress_bytes=200e9))
    row = estimate(run, "big", database=db)
    charges = {each.name: each.usd.mid for each in row.bill.charges}
    assert charges["egress"] == pytest.approx((200 - 100) * 0.09)
    assert charges["storage"] == pytest.approx(1000 * 0.023 * row.run_time_s / (730 * 3600))
    assert row.cost_usd == pytest.approx(sum(charges.values()))
    assert "no price of egress" in " ".join(estimate_all(run, devices="big", database=DB).warnings)


def test_every_part_says_its_source_and_option():
    row = estimate(RUN, "big", database=DB)
    assert all(part.source and part.option.startswith("--") for part in row.whole.parts)
    assert {part.name for part in row.whole.parts} >= {"provisioning", "start-up", "checkpoints", "interruptions"}
    terms = {term.name: term for term in row.explain().terms}
    assert all(part.name in terms for part in row.whole.parts)
    assert row.to_dict()["run_time_parts_s"]["start-up"] == assumption("startup").range.mid


@pytest.mark.parametrize("wrong", [{"startup_s": -1}, {"data_samples_per_s": 0}, {"eval_samples": 10}])
def test_impossible_figures_are_refused(wrong):
    with pytest.raises(UsageError):
        Overheads(**wrong)


def test_chinchilla():
    # Chinchilla itself: 70 B parameters, 1.4 T tokens.
    assert compute_optimal_tokens(70_000_000_000) == pytest.approx(1.4e12)


def test_a_price_of_today_is_what_it_says_and_old_ones_drift():
    today = date(2026, 11, 1)
    assert price_spread(offer(as_of=today), today) == SAME
    year = price_spread(offer(as_of=today - timedelta(days=365)), today)
    assert (year.low, year.high) == pytest.approx((0.77, 1.3))
    quarter = price_spread(offer(as_of=today - timedelta(days=91)), today)
    assert quarter.high == pytest.approx(1.3 ** (91 / 365) ** 0.5)
    spot = price_spread(offer(as_of=today, pricing="spot"), today)
    assert (spot.low, spot.high) == pytest.approx((0.8, 1.25))


def test_independent_spreads_add_as_squares():
    # 3 and 4 units of logarithm make 5.
    found = Range(math.exp(-3), 1, math.exp(3)).times_independent(Range(math.exp(-4), 1, math.exp(4)))
    assert (math.log(found.low), math.log(found.high)) == pytest.approx((-5, 5))
    assert Range(1, math.inf, math.inf).times_independent(Range(0.5, 1, 2)).mid == math.inf


def test_a_whole_run_may_be_tuned_further_than_its_steps():
    assert tuned(Range.exactly(100.0)) == Range(pytest.approx(75.0), 100.0, 100.0)
    row = with_()
    training, steps = row.whole.seconds("training"), row.step_time * row.run.total_steps
    assert training.low < steps.low and (training.mid, training.high) == pytest.approx((steps.mid, steps.high))
    # A utilisation that is given leaves nothing to tune.
    given = estimate(RUN.replace(overheads=NOTHING, mfu=0.4), "big", database=DB)
    assert given.whole.seconds("training").low == given.whole.seconds("training").high


def test_a_checkpoint_of_adapters_leaves_frozen_parameters_out():
    whole = profile()
    tuned_profile = replace(whole, trainable_parameters=whole.parameters // 100)
    run = RUN.replace(profile=tuned_profile, overheads=replace(NOTHING, checkpoint_every_s=60.0))
    found = estimate(run, "big", database=DB).whole.checkpoint_bytes
    memory = whole.memory
    assert found == pytest.approx(memory.parameter_bytes / 100 + memory.optimizer_state_bytes, rel=1e-3)
