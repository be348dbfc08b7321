"""Advice as files: a report that needs nothing else, and a task that SkyPilot reads."""

import csv
import xml.etree.ElementTree as ElementTree
from datetime import date
from html.parser import HTMLParser
from importlib.resources import files

import pytest
from click.testing import CliRunner
from hand_made import database, device, offer, profile

import hardware_db
from estimator import TrainingRun
from estimator.advice import advise
from estimator.advice.sky import sky_task
from estimator.cli import main
from estimator.report import report_of, written
from estimator.report.charts import Axis, Point, bars, scatter
from hardware_db.errors import UsageError

yaml = pytest.importorskip("yaml")

RUN = TrainingRun(profile(), tokens=1e12, sequence_length=1024)
TIERS = [device(name) for name in ("t4", "tpu-v2", "tpu-v5e", "p100-pcie-16gb", "tpu-v3")]
DB = database(
    [device("h100-sxm"), device("odd"), *TIERS],
    [offer("h100-sxm", 8, 30.0, provider="aws"), offer("h100-sxm", 8, 10.0, provider="aws", pricing="spot"),
     offer("odd", 1, 0.5), offer("h100-sxm", 1, 4.0, provider="nobody", region="global")],
)  # fmt: skip


def asked(**limits):
    return advise(RUN, database=DB, **limits)


class Page(HTMLParser):
    """Reads a page: its text, and every address that it would load something from."""

    def __init__(self, text):
        super().__init__()
        self.addresses, self.text = [], ""
        self.feed(text)

    def handle_starttag(self, tag, attrs):
        self.addresses += [value for name, value in attrs if name in ("src", "href") and value]

    def handle_data(self, data):
        self.text += data


def test_a_report_is_one_file_that_says_everything(tmp_path):
    advice = asked(devices="h100-sxm")
    page = Page(written(report_of(advice), tmp_path / "report.html"))
    assert page.addresses == []
    assert advice.sentence in page.text
    for part in advice.best.row.whole.parts:
        assert part.name in page.text and part.source in page.text
    for said in (*advice.reasons, *advice.risks, *(option.row.offer.instance for option in advice.frontier)):
        assert said in page.text


def test_markdown_says_the_same_and_other_files_are_refused(tmp_path):
    advice = asked(devices="h100-sxm")
    text = written(report_of(advice), tmp_path / "report.md")
    assert text.startswith("# Training") and f"**{advice.sentence}**" in text and "<svg" not in text
    tables = [line for line in text.splitlines() if line.startswith("|")]
    assert tables and all(line.endswith("|") for line in tables)
    with pytest.raises(UsageError, match=r"give a file that ends with .html"):
        written(report_of(advice), tmp_path / "report.pdf")


def test_names_cannot_break_a_page(tmp_path):
    bad = database([device("h100-sxm"), *TIERS], [offer("h100-sxm", 1, 4.0, provider="<script>|")])
    report = report_of(advise(RUN, database=bad))
    assert "<script>" not in written(report, tmp_path / "a.html")
    assert r"<script>\|" in written(report, tmp_path / "a.md")


def test_a_point_stands_where_its_logarithm_says():
    axis = Axis("hours", 1.0, 100.0, 0.0, 200.0)
    assert [axis.at(value) for value in (1, 10, 100)] == pytest.approx([0, 100, 200])
    assert axis.at(1e9) == 200 and 10.0 in axis.ticks()
    points = [Point("a", (1, 2, 3), (4, 5, 6)), Point("b & c", (2, 3, 4), (1, 2, 3), marked=True)]
    drawn = ElementTree.fromstring(scatter(points, "h", "USD"))
    circles = [each for each in drawn.iter() if each.tag.endswith("circle")]
    assert len(circles) == 2
    # The first is faster and dearer: left of the second and above it.
    assert float(circles[0].get("cx")) < float(circles[1].get("cx"))
    assert float(circles[0].get("cy")) < float(circles[1].get("cy"))


def test_bars_go_left_where_money_is_saved():
    drawn = ElementTree.fromstring(bars([("spot", -10.0, "-$10"), ("more", 5.0, "+$5")]))
    saved, costs = (each for each in drawn.iter() if each.tag.endswith("rect"))
    zero = float(costs.get("x"))
    assert float(saved.get("x")) + float(saved.get("width")) == pytest.approx(zero)
    assert float(saved.get("width")) == pytest.approx(2 * float(costs.get("width")))


def test_a_task_rents_what_is_recommended():
    advice = asked(devices="h100-sxm", counts=(16,))
    task = yaml.safe_load(sky_task(advice))
    assert task["num_nodes"] == 2 and task["resources"]["accelerators"] == "H100:8"
    assert task["resources"]["infra"] == "aws/us-east1" and task["resources"]["max_hourly_cost"] == 36.0
    row = advice.best.row
    assert task["envs"]["STEPS"] == row.run.total_steps and task["envs"]["MICRO_BATCH_SIZE"] == row.micro_batch_size
    assert "torchrun" in task["run"] and "use_spot" not in task["resources"]


def test_spot_machines_are_recovered_and_saved_from_time_to_time():
    advice = asked(devices="h100-sxm", counts=(8,), spot=True, budget_usd=1e9)
    assert advice.best.row.offer.pricing == "spot"
    task = yaml.safe_load(sky_task(advice))
    assert task["resources"]["use_spot"] is True and task["resources"]["job_recovery"]
    assert task["envs"]["CHECKPOINT_EVERY_S"] == pytest.approx(advice.best.row.whole.interval_s, abs=30)


def test_what_skypilot_cannot_rent_is_said():
    with pytest.raises(UsageError, match="no name of odd for SkyPilot"):
        sky_task(asked(devices="odd"))
    with pytest.raises(UsageError, match="is there already"):
        sky_task(asked(own={"h100-sxm": 1}, devices="h100-sxm", counts=(1,), budget_usd=1e9))
    with pytest.raises(UsageError, match="nothing keeps the limits"):
        sky_task(asked(devices="h100-sxm", budget_usd=0.01))
    # A cloud that SkyPilot does not know is left to it, and the file says so.
    text = sky_task(asked(devices="h100-sxm", counts=(1,), provider="nobody"))
    assert "SkyPilot lists no h100-sxm of nobody" in text and "infra" not in yaml.safe_load(text)["resources"]


SOCKET = {
    "kind": "cpu",
    "memory_bytes": None,
    "compute_units": 64.0,
    "matrix_peaks": {},
    "vector_peaks": {"bfloat16": 8e12},
}
ELSEWHERE = database(
    [device("h200-sxm"), device("tpu-v6e", kind="tpu"), device("epyc-9654", **SOCKET), *TIERS],
    [offer("h200-sxm", 8, 40.0, provider="runpod", instance="8x"),
     offer("tpu-v6e", 16, 40.0, provider="gcp", region="us-east1", instance="tpu-v6e-16", kind="tpu"),
     offer("epyc-9654", 1, 1.0, provider="aws", instance="m7a.48xlarge", cores=64.0),
     offer("epyc-9654", 1, 1.0, provider="nobody", instance="xl", cores=64.0)],
)  # fmt: skip


def task_of(devices, **limits):
    run = TrainingRun(profile(), tokens=1e9, sequence_length=1024)
    return yaml.safe_load(sky_task(advise(run, database=ELSEWHERE, devices=devices, **limits)))


def test_a_device_has_the_name_that_its_cloud_gives_it():
    assert task_of("h200-sxm", counts=(8,))["resources"]["accelerators"] == "H200-SXM:8"
    with pytest.raises(UsageError, match="one machine of runpod; this takes 2"):
        task_of("h200-sxm", counts=(16,))


def test_every_host_of_a_slice_of_tpus_starts_the_script():
    task = task_of("tpu-v6e", counts=(16,))
    assert task["resources"]["accelerators"] == "tpu-v6e-16:1" and task["resources"]["infra"] == "gcp/us-east1"
    assert task["num_nodes"] == 1 and "every host" in task["run"] and "torchrun" not in task["run"]
    with pytest.raises(UsageError, match="2 slices tpu-v6e-16 train as one only as a multislice"):
        task_of("tpu-v6e", counts=(32,))


def test_a_machine_without_accelerator_is_rented_by_its_own_name():
    task = task_of("epyc-9654", provider="aws")
    assert task["resources"]["instance_type"] == "m7a.48xlarge" and task["resources"]["infra"] == "aws/us-east1"
    assert "torchrun" not in task["run"]
    with pytest.raises(UsageError, match="does not rent from nobody, whose name xl is"):
        task_of("epyc-9654", provider="nobody")


def test_names_for_skypilot_are_of_known_devices_and_have_sources():
    with files("estimator.advice").joinpath("sky_names.csv").open(encoding="utf-8") as file:
        rows = list(csv.DictReader(file))
    ids = {each.id for each in hardware_db.load().devices()}
    listed = [(row["device"], cloud) for row in rows for cloud in row["clouds"].split()]
    assert {row["device"] for row in rows} <= ids and len(listed) == len(set(listed))
    assert all(row["accelerator"] and row["clouds"] and "@" in row["source"] for row in rows)
    assert all(date(2026, 1, 1) <= date.fromisoformat(row["as_of"]) <= date.today() for row in rows)


def test_the_command_writes_both(tmp_path):
    report, task = tmp_path / "r.html", tmp_path / "t.yaml"
    words = ["advise", "gpt2", "--tokens", "1B", "--hardware", "l4", "--report", str(report), "--sky", str(task)]
    done = CliRunner().invoke(main, words)
    assert done.exit_code == 0, done.stderr
    assert "<svg" in report.read_text() and yaml.safe_load(task.read_text())["resources"]["accelerators"].startswith(
        "L4"
    )
    no = CliRunner().invoke(main, [*words[:6], "--budget", "0.01", "--sky", str(tmp_path / "none.yaml")])
    assert no.exit_code == 1 and not (tmp_path / "none.yaml").exists()
