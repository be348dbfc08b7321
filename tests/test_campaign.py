"""Plans of runs: budgets of the methods against their papers, and stages by hand."""

import json

import pytest
from click.testing import CliRunner
from hand_made import database, device, offer, profile
from hypothesis import given
from hypothesis import strategies as st

from estimator import TrainingRun, estimate
from estimator.campaign import Plan, Search, campaign_of, trials_of
from estimator.cli import main
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
    assert [stage["name"] for stage in document["results"]] == ["search", "final"]
    assert document["cost_usd"]["mid"] == pytest.approx(sum(s["cost_usd"]["mid"] for s in document["results"]))
