"""Plans of runs: budgets of the methods against their papers, and stages by hand."""

import json
from dataclasses import replace
from unittest import mock

import pytest
from click.testing import CliRunner
from hand_made import database, device, offer, profile
from hypothesis import given
from hypothesis import strategies as st

from estimator import TrainingRun, estimate
from estimator.campaign import Limits, Plan, Search, campaign_of, choose, trials_of
from estimator.cli import main
from estimator.whole_run import Overheads
from hardware_db.errors import UsageError

DB = database([device("big")], [offer("big", 1, 3.6)])
ROW = estimate(TrainingRun(profile(), tokens=1e11, sequence_length=1024, overheads=None), "big", database=DB)


def test_full_trials_are_full_runs():
    assert trials_of(Search("grid", 12)).runs == 12 and trials_of(Search("random", 12)).wall_runs(5) == 3


def test_successive_halving_by_hand():
    found = trials_of(Search("asha", 27, 3, 1 / 27))
    # 27 run 1/27, 9 of them on to 3/27, 3 to 9/27, 1 to the end.
    assert [count for count, _ in found.rungs] == [27, 9, 3, 1]
    assert found.runs == pytest.approx((27 * 1 + 9 * 2 + 3 * 6 + 1 * 18) / 27)


def test_hyperband_has_the_brackets_of_its_paper():
    # Table 1 of arXiv:1603.06560: R = 81, eta = 3: 81, 34, 15, 8, 5 configurations.
    found = trials_of(Search("hyperband", 1, 3, 1 / 81))
    assert found.started == 81 + 34 + 15 + 8 + 5


@given(st.integers(1, 300), st.integers(2, 5), st.floats(0.001, 1), st.integers(1, 50))
def test_early_stopping_never_costs_more_and_parallel_never_less_than_its_share(trials, reduction, least, parallel):
    found = trials_of(Search("asha", trials, reduction, least))
    assert found.runs <= trials + 1e-9
    assert found.wall_runs(parallel) >= found.runs / parallel - 1e-9
    assert found.wall_runs(1) == pytest.approx(found.runs)


def test_stages_by_hand():
    plan = Plan(Search("random", 10), parallel=4, seeds=2, failed_share=0.2, retrain_every="month", retrain_share=0.1)
    search, final, again = campaign_of(ROW, plan).stages
    run = ROW.run_time_s
    assert search.wall_s.mid == pytest.approx(3 * run / 0.8) and search.started == pytest.approx(12.5)
    assert search.cost_usd.mid == pytest.approx(10 * run * 3.6 / 3600 / 0.8)
    assert final.device_hours.mid == pytest.approx(2 * run / 3600 / 0.8)
    assert again.cost_usd.mid == pytest.approx(12 * 0.1 * ROW.cost_usd / 0.8)


def test_every_run_that_is_started_starts_up():
    row = estimate(TrainingRun(profile(), tokens=1e11, sequence_length=1024), "big", database=DB)
    fixed = row.whole.seconds("provisioning").mid + row.whole.seconds("start-up").mid
    one, many = (campaign_of(row, Plan(Search("asha", 27))).stages[0], trials_of(Search("asha", 27)))
    rest = row.run_time_s - fixed
    assert one.cost_usd.mid == pytest.approx((many.runs * rest + 40 * fixed) * 3.6 / 3600)


def test_every_run_is_billed_by_itself_and_what_is_kept_leaves_the_network_once():
    """Four trials side by side of 90 minutes each on a clock of an hour pay eight hours, not six."""
    run = TrainingRun(profile(), tokens=1e11, sequence_length=1024, overheads=None)
    step = estimate(run, "big", database=DB).step_time_s
    market = database([device("big")], [offer("big", 1, 3.6, provider="hourly"), offer("big", 1, 3.6, provider="gcp")])
    run = run.replace(steps=round(5400 / step))
    for clock, hours in (("hourly", 4 * 2.0), ("gcp", 4 * 1.5)):
        with mock.patch("estimator.whole_run.bill.billing_clock", lambda name, _: (3600.0 * (name == "hourly"), 0.0)):
            row = estimate(run, "big", 1, next(iter(market.offers("big", clock))), database=market)
            search = campaign_of(row, Plan(Search("grid", 4), parallel=4)).stages[0]
        assert search.cost_usd.mid == pytest.approx(3.6 * hours, rel=1e-3)
    kept = run.replace(overheads=Overheads(egress_bytes=1e12))
    sent = estimate(kept, "big", 1, next(iter(market.offers("big", "gcp"))), database=market)
    charge = next(each.usd for each in sent.bill.charges if each.name == "egress")
    with_egress, without = (
        [stage.cost_usd.mid for stage in campaign_of(replace(sent, run=each), Plan(Search("grid", 4), seeds=3)).stages]
        for each in (kept, kept.replace(overheads=Overheads()))
    )
    assert with_egress[0] == without[0] and with_egress[1] - without[1] == pytest.approx(3 * charge.mid)


def test_the_cheapest_devices_that_keep_the_limits_are_chosen():
    slow = device("slow", matrix_peaks={"bfloat16": 50e12}, memory_bandwidth_bytes_per_s=4e11)
    market = database([device("big"), slow], [offer("big", 1, 3.6), offer("slow", 1, 0.1)])
    rows = [estimate(ROW.run, name, database=market) for name in ("big", "slow")]
    plan = Plan(Search("grid", 4), parallel=4)
    big, cheap = (campaign_of(row, plan) for row in rows)
    assert cheap.total_usd.mid < big.total_usd.mid and cheap.wall_s.mid > 2 * big.wall_s.mid
    assert choose(rows, plan, Limits()).row is rows[1]
    hurried = choose(rows, plan, Limits(deadline_s=1.5 * big.wall_s.high))
    assert hurried.row is rows[0] and hurried.safe
    nothing = choose(rows, plan, Limits(deadline_s=big.wall_s.mid / 10))
    assert nothing.row is rows[0] and not nothing.safe
    assert choose([estimate(ROW.run.replace(micro_batch_size=256), "slow", database=tiny())], plan, Limits()) is None


def tiny():
    return database([device("slow", memory_bytes=1_000_000)], [offer("slow", 1, 0.1)])


@pytest.mark.parametrize("wrong", [{"seeds": 0}, {"failed_share": 1.0}, {"retrain_every": "day"}, {"retrain_share": 0}])
def test_impossible_plans_are_refused(wrong):
    with pytest.raises(UsageError):
        Plan(**wrong)


def test_the_command():
    words = [
        "campaign",
        "gpt2",
        "--tokens",
        "1B",
        "--hardware",
        "l4",
        "--method",
        "asha",
        "--trials",
        "27",
        "--seeds",
        "3",
    ]
    result = CliRunner().invoke(main, [*words, "--json"])
    assert result.exit_code == 0, result.stderr
    document = json.loads(result.stdout)
    assert [stage["name"] for stage in document["results"]] == ["search", "final"] and document["answered"]
    assert document["cost_usd"]["mid"] == pytest.approx(sum(s["cost_usd"]["mid"] for s in document["results"]))
    refused = CliRunner().invoke(main, [*words, "--budget", "1"])
    assert refused.exit_code == 1 and "Nothing keeps $1.00" in refused.stdout
