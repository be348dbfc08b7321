"""`flopcast estimate`: what is asked reaches the estimator, what it answers reaches the page."""

import csv
import importlib
import io
import json
import subprocess
import sys
from datetime import date

import hand_made
import pytest
from click.testing import CliRunner

import hardware_db
from estimator import TrainingRun, estimate_all
from estimator.cli import main
from estimator.cli.market_options import Market
from estimator.text.estimates import estimates_text, run_flops, work_text
from estimator.text.page import Page
from hardware_db.errors import MissingExtra
from profiles.model_profile import ModelProfile

MODULE = importlib.import_module("estimator.cli.estimate")
WORK = ("--tokens", "1B", "--batch-size", "64")


@pytest.fixture
def profile_path(tmp_path, monkeypatch):
    """A saved profile, and an empty cache."""
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    path = tmp_path / "ten.json"
    hand_made.profile().save(path)
    return str(path)


def estimate(path: str, *arguments: str, code: int = 0):
    result = CliRunner().invoke(main, ["estimate", path, *arguments])
    assert result.exit_code == code, result.output
    return result


def document(path: str, *arguments: str, code: int = 0):
    return json.loads(estimate(path, *arguments, "--json", code=code).stdout)


def answers(path: str, **choice):
    run = TrainingRun(ModelProfile.load(path), tokens=10**9, global_batch_size=64)
    return estimate_all(run, **choice).sort("cost")


def table_lines(text: str) -> list[str]:
    return [line for line in text.splitlines() if "× " in line[:6]]


def test_the_numbers_are_those_of_the_api(profile_path):
    results = document(profile_path, *WORK)["results"]
    assert results == json.loads(json.dumps([row.to_dict() for row in answers(profile_path)]))


def test_json_has_the_run_the_assumptions_and_what_was_left_out(profile_path):
    answer = document(profile_path, *WORK)
    expected = answers(profile_path)
    assert (answer["schema"], answer["command"]) == (1, "estimate")
    assert answer["run"]["tokens"] == 10**9
    assert answer["run"]["global_batch_size"] == 64
    assert answer["assumptions"] == list(expected.assumptions)
    assert answer["warnings"] == list(expected.warnings)
    assert answer["left_out"] == dict(expected.left_out)


@pytest.mark.parametrize(("counts", "expected"), [("8", 256), ("512", 512), ("6", 264), ("8,96", 288)])
def test_the_usual_batch_is_one_that_all_devices_asked_for_share(profile_path, counts, expected):
    answer = document(profile_path, "--tokens", "1B", "--hardware", "h100-sxm", "--count", counts)
    assert answer["run"]["global_batch_size"] == expected
    assert any(f"global batch {expected}" in line for line in answer["assumptions"])
    assert all(row["why_not"] is None for row in answer["results"])


def test_csv_has_a_row_an_answer(profile_path):
    rows = list(csv.DictReader(io.StringIO(estimate(profile_path, *WORK, "--csv").stdout)))
    assert [row["device"] for row in rows] == [row.device.id for row in answers(profile_path)]
    assert float(rows[0]["cost_usd"]) == answers(profile_path)[0].cost_usd


@pytest.mark.parametrize(
    ("arguments", "total"),
    [
        (["--tokens", "1M"], 10**6 / 16 / 64),
        (["--samples", "64k"], 1000),
        (["--steps", "1k"], 1000),
        (["--epochs", "2.5", "--dataset-size", "6400"], 250),
        (["--tokens", "1M", "--sequence-length", "32"], 10**6 / 32 / 64),
    ],
)
def test_amounts_of_work(profile_path, arguments, total):
    found = document(profile_path, *arguments, "--batch-size", "64", "--hardware", "h100-sxm", "--count", "1")
    assert found["run"]["total_steps"] == -(-total // 1)


def test_choice_of_hardware_counts_and_pricing(profile_path):
    chosen = ("--hardware", "h100-sxm,tpu-v5e", "--count", "1,8", "--pricing", "spot")
    rows = document(profile_path, *WORK, *chosen)["results"]
    assert {(row["device"], row["count"]) for row in rows} == {
        (device, count) for device in ("h100-sxm", "tpu-v5e") for count in (1, 8)
    }
    assert {row["pricing"] for row in rows} == {"spot"}


def test_provider_region_and_all_offers(profile_path):
    rows = document(profile_path, *WORK, "--provider", "aws", "--region", "us-east-1", "--count", "8", "--all-offers")
    places = {(row["provider"], row["region"]) for row in rows["results"]}
    assert places == {("aws", "us-east-1")}
    offers = hardware_db.load().offers(provider="aws", region="us-east-1", pricing="on_demand")
    assert len(rows["results"]) == len(offers)


def test_own_price_takes_the_place_of_all_others(profile_path):
    rows = document(profile_path, *WORK, "--hardware", "h100-sxm", "--count", "2", "--price", "h100-sxm=1.50")[
        "results"
    ]
    (row,) = rows
    assert row["usd_per_hour"] == 3.0
    assert row["price_source"] == "--price"
    assert row["price_as_of"] == date.today().isoformat()
    assert row["cost_usd"] == pytest.approx(row["run_time_s"] / 3600 * 3.0)


def test_own_price_of_a_device_that_nobody_rents_out(profile_path):
    database = hardware_db.load()
    unpriced = next(d for d in database.devices("gpu") if not database.offers(d.id) and d.supports("bfloat16"))
    (row,) = document(profile_path, *WORK, "--hardware", unpriced.id, "--count", "1", "--price", f"{unpriced.id}=0.10")[
        "results"
    ]
    assert row["usd_per_hour"] == 0.10


def test_own_price_leaves_the_published_database_alone():
    before = hardware_db.load().offers("h100-sxm")
    priced = Market(prices={"h100-sxm": 0.01}).choice(hardware_db.load())["database"]
    assert {offer.usd_per_device_hour for offer in priced.offers("h100-sxm")} == {0.01}
    assert hardware_db.load().offers("h100-sxm") == before


def test_mfu_replaces_the_prediction(profile_path):
    arguments = (*WORK, "--hardware", "h100-sxm", "--count", "1", "--mfu", "0.4")
    (row,) = document(profile_path, *arguments)["results"]
    assert row["mfu"] == pytest.approx(0.4)
    assert row["basis"] == "given"
    assert "replaces the predicted step times" in estimate(profile_path, *arguments).stderr


@pytest.mark.parametrize(("sort", "figure"), [("cost", "cost_usd"), ("time", "run_time_s"), ("energy", "energy_kwh")])
def test_order(profile_path, sort, figure):
    rows = document(profile_path, *WORK, "--sort", sort)["results"]
    known = [row[figure] for row in rows if row["why_not"] is None and row[figure] is not None]
    assert known == sorted(known)
    lines = table_lines(estimate(profile_path, *WORK, "--sort", sort).stdout)
    assert lines[0].startswith("✔ ")
    assert f"{rows[0]['count']}× {rows[0]['device']}" in lines[0]


def test_limit_of_rows(profile_path):
    everything = len(answers(profile_path))
    found = document(profile_path, *WORK)["results"]
    answered = [row for row in found if row["why_not"] is None]
    others = {row["kind"] for row in answered} - {row["kind"] for row in answered[:3]}
    text = estimate(profile_path, *WORK, "--limit", "3").stdout
    assert len(table_lines(text)) == 3 + len(others), "the first three, and the best of every other kind"
    assert f"…{everything - 3 - len(others)} more: --limit 0" in text
    assert len(table_lines(estimate(profile_path, *WORK, "--limit", "0").stdout)) == everything
    assert len(document(profile_path, *WORK)["results"]) == everything
    assert len(document(profile_path, *WORK, "--limit", "3")["results"]) == 3


def test_page_says_what_was_assumed_and_what_comes_next(profile_path):
    text = estimate(profile_path, *WORK).stdout
    assert "1 multiply-add = 2 FLOPs" in text
    for word in ("Cheapest", "Fastest", "Pareto", "Assumed", "Left out", "Next"):
        assert f"\n{word} " in text
    assert "no on demand price" in text


def test_old_prices_warn_on_stderr(profile_path):
    oldest = max((date.today() - row.offer.as_of).days for row in answers(profile_path).answered if row.offer)
    warned = "older than 30 days" in estimate(profile_path, *WORK).stderr
    assert warned is (oldest > 30)
    assert "older than 30 days" not in estimate(profile_path, *WORK, "-q").stderr


def test_verbose_explains_the_best_row(profile_path):
    text = estimate(profile_path, *WORK, "-v").stdout
    assert str(answers(profile_path)[0].explain()) in text


def test_what_does_not_fit_stays_with_its_reason_and_exit_code_one(profile_path):
    arguments = (*WORK, "--hardware", "l4", "--count", "1", "--micro-batch-size", "64", "--sequence-length", "32768")
    text = " ".join(estimate(profile_path, *arguments, code=1).stdout.split())
    assert "1× l4" in text
    assert ("needs " in text and "l4 has 24.2 GB" in text) or "l4 has" in text
    assert "Why not" in text and "Would fit:" in text
    (row,) = document(profile_path, *arguments, code=1)["results"]
    assert row["fits"] is False and row["why_not_kind"] == "memory"


def test_a_row_that_lacks_the_precision_stays_beside_those_that_have_it(profile_path):
    text = estimate(profile_path, *WORK, "--hardware", "v100-sxm2-16gb,h100-sxm", "--count", "1").stdout
    lines = table_lines(text)
    assert lines[0].startswith("✔ 1× h100-sxm")
    assert "v100-sxm2-16gb has no bfloat16" in lines[1]


def test_idle_devices_of_a_machine_are_said(profile_path):
    chosen = ("--hardware", "h200-sxm", "--count", "1", "--provider", "aws")
    text = estimate(profile_path, *WORK, *chosen).stdout
    (row,) = document(profile_path, *WORK, *chosen)["results"]
    assert row["idle_devices"] == 7
    assert "1× h200-sxm (of 8)" in text


@pytest.mark.parametrize("width", [60, 80, 100, 120, 160])
def test_rows_are_never_wrapped(profile_path, width):
    found = answers(profile_path)
    lines = estimates_text(found, Page(width), 0).splitlines()
    assert max(map(len, lines)) <= width
    assert len(table_lines("\n".join(lines))) == len(found)


def test_narrow_pages_keep_what_decides(profile_path):
    lines = estimates_text(answers(profile_path), Page(80)).splitlines()
    header = next(line for line in lines if "HARDWARE" in line)
    assert all(word in header for word in ("HARDWARE", "RUN TIME", "COST", "BASIS"))
    assert "REGION" not in header


def test_precision_is_shown_where_each_row_has_its_own(tmp_path):
    runs = [TrainingRun(hand_made.profile(precision=name), tokens=10**9) for name in ("amp_bfloat16", "float32")]
    lines = estimates_text(estimate_all(runs, devices="k80,h100-sxm", counts=[1]), Page(160)).splitlines()
    rows = {line.split()[1] if line[0] != "✔" else line.split()[2]: line.split()[-1] for line in lines if "× " in line}
    assert rows["h100-sxm"] == "amp_bf16"
    assert rows["k80"] == "float32"


@pytest.mark.parametrize(
    ("amount", "text"),
    [
        ({"tokens": 1e10}, "10.0 B tokens"),
        ({"samples": 64000}, "64.0 k samples"),
        ({"steps": 1234}, "1,234 steps"),
        ({"epochs": 3, "dataset_size": 60000}, "3 epochs of 60,000 samples"),
    ],
)
def test_work_in_words(amount, text):
    assert work_text(TrainingRun(hand_made.profile(), **amount)) == text


def test_processors_are_asked_for_what_a_processor_runs(monkeypatch):
    asked = []

    def find(question, _):
        asked.append((question.device, question.precision))
        return hand_made.profile(precision=question.precision, device=question.device or "cuda")

    monkeypatch.setattr(MODULE, "find_profile", find)
    found = document("ten", *WORK, "--hardware", "epyc-9654")
    assert asked == [("cpu", "amp_bfloat16")], "one device is asked in its own precision alone"
    assert any("as recorded for cpu" in each for each in found["assumptions"])
    asked.clear()
    estimate("ten", *WORK, "--hardware", "epyc-9654,l4")
    assert {device for device, _ in asked} == {None}


def test_without_torch_processors_get_what_is_recorded_of_a_card(monkeypatch):
    def find(question, _):
        if question.device == "cpu":
            raise MissingExtra("needs torch")
        return hand_made.profile(precision=question.precision)

    monkeypatch.setattr(MODULE, "find_profile", find)
    found = document("ten", *WORK, "--hardware", "epyc-9654")
    assert any("as recorded for cuda; devices of another kind" in each for each in found["assumptions"])


def test_flops_of_the_run_are_those_of_its_steps():
    profile = hand_made.profile()
    run = TrainingRun(profile, steps=10, global_batch_size=8)
    step = profile.at(batch_size=8).model_flops
    assert run_flops(run) == 10 * (step.forward + step.backward)


def test_repr_of_estimates_is_the_table(profile_path):
    found = answers(profile_path)
    assert repr(found) == estimates_text(found)


@pytest.mark.parametrize("model", ["ten.json", "gpt2"])
def test_a_recorded_profile_is_estimated_without_torch(profile_path, model):
    """A file of the user's, and a model whose profiles come with flopcast (one in each precision)."""
    model = profile_path if model == "ten.json" else model
    code = (
        "import sys\nfrom estimator.cli import main\n"
        f"try:\n    main(['estimate', {model!r}, '--tokens', '1B', '-q'])\nexcept SystemExit as end:\n"
        "    assert not end.code\nprint('torch' in sys.modules, file=sys.stderr)"
    )
    command = [sys.executable, "-c", code]
    assert subprocess.run(command, capture_output=True, text=True, check=True).stderr.strip() == "False"
