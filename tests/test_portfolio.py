"""Advice for many jobs: each row is the question that `flopcast advise` would be asked, wherever it is worked out."""

import csv
import io
import json

import pytest
from click.testing import CliRunner

from estimator.cli import main
from estimator.cli.portfolio import read_jobs
from hardware_db.errors import DataError

JOBS = """name,model,tokens,batch_size,budget,hardware,spot
first,gpt2,1B,,50,l4,
second,gpt2,2B,128,50,l4,no
never,gpt2,1B,,0.01,l4,yes
wrong,gpt2,,,50,l4,
"""


@pytest.fixture
def jobs(tmp_path):
    path = tmp_path / "jobs.csv"
    path.write_text(JOBS)
    return path


def flopcast(*words):
    return CliRunner().invoke(main, [str(word) for word in words])


def test_columns_are_options(jobs):
    questions = dict(read_jobs(jobs))
    assert questions["second"] == [
        "gpt2", "--tokens", "2B", "--batch-size", "128", "--budget", "50", "--hardware", "l4",
    ]  # fmt: skip
    assert questions["never"][-1] == "--spot"


@pytest.mark.parametrize(
    ("text", "said"),
    [("", "the first line names columns"), ("tokens\n1B\n", "one of them model"), ("model,tokens\n,1B\n", "no model"),
     ("model\ngpt2,1B\n", "more cells than columns")],
)  # fmt: skip
def test_files_of_other_shapes_are_told_what_is_missing(tmp_path, text, said):
    path = tmp_path / "jobs.csv"
    path.write_text(text)
    with pytest.raises(DataError, match=said):
        read_jobs(path)


def test_each_job_is_answered_as_alone(jobs):
    done = flopcast("portfolio", jobs, "--json")
    document = json.loads(done.stdout)
    rows = document["results"]
    assert done.exit_code == 1 and [row["name"] for row in rows] == ["first", "second", "never", "wrong"]
    assert [row["answered"] for row in rows] == [True, True, False, False]
    assert "Give exactly one of --tokens" in rows[3]["sentence"] and rows[3]["device"] is None
    words = ["advise", "gpt2", "--tokens", "1B", "--budget", "50", "--hardware", "l4", "--json"]
    alone = json.loads(flopcast(*words).stdout)["results"][0]["recommendation"]
    assert rows[0]["cost_usd"] == alone["cost_usd"]
    assert document["total"]["cost_usd"] == pytest.approx(rows[0]["cost_usd"] + rows[1]["cost_usd"])


def test_a_row_that_plans_runs_is_a_campaign(tmp_path):
    """Wall clock of search and final runs, money of retraining too; what no plan keeps is told."""
    path = tmp_path / "jobs.csv"
    path.write_text(
        "name,model,tokens,hardware,method,trials,retrain,budget,spot\n"
        "plan,gpt2,100M,l4,asha,27,month,,yes\nnever,gpt2,100M,l4,asha,27,,1,\n"
    )
    plan, never = json.loads(flopcast("portfolio", path, "--json").stdout)["results"]
    words = ["--tokens", "100M", "--hardware", "l4", "--pricing", "spot", "--method", "asha", "--trials", 27]
    alone = json.loads(flopcast("campaign", "gpt2", *words, "--retrain", "month", "--json").stdout)
    assert plan["answered"] and plan["cost_usd"] == alone["cost_usd"]["mid"]
    assert plan["run_time_s"] == sum(s["wall_s"]["mid"] for s in alone["results"] if s["name"] != "retraining")
    assert plan["pricing"] == "spot" and not never["answered"] and "Nothing keeps $1.00" in never["sentence"]


def test_the_table_has_a_line_for_each_and_a_sum(jobs):
    shown = flopcast("portfolio", jobs).stdout
    assert "2 of 4 jobs" in shown and "Nothing fits $0.0100" in shown


def test_an_unknown_engine_is_refused(jobs):
    assert "--on spark" in flopcast("portfolio", jobs, "--on", "spark").stderr
    assert flopcast("portfolio", jobs, "--on", "0").exit_code == 2


def answers(*words):
    return list(csv.DictReader(io.StringIO(flopcast(*words, "--csv").stdout)))


@pytest.mark.slow
@pytest.mark.parametrize("engine", ["processes", "dask"])
def test_an_engine_gives_the_same_answers_in_the_same_order(jobs, engine):
    here = answers("portfolio", jobs)
    if engine == "processes":
        assert answers("portfolio", jobs, "--on", 2) == here
        return
    distributed = pytest.importorskip("distributed")
    with distributed.LocalCluster(n_workers=1, threads_per_worker=1, processes=True, dashboard_address=None) as cluster:
        assert answers("portfolio", jobs, "--on", f"dask={cluster.scheduler_address}") == here
