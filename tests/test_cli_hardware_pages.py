"""`flopcast hardware NAME`: every figure of a device with its source, and devices side by side."""

import csv
import io
from functools import partial

import pytest
from cli_calls import results, run
from click.testing import CliRunner

import hardware_db
from estimator.cli import main
from estimator.cli.device_filters import cheapest_offers

hardware, records = partial(run, "hardware"), partial(results, "hardware")


def test_what_was_observed_stands_beside_what_is_published(monkeypatch, tmp_path):
    from datetime import date

    from hardware_db.records import Measurement
    from hardware_db.store import open_store

    monkeypatch.setenv("FLOPCAST_DB", f"sqlite:///{tmp_path}/team.db")
    published = hardware("l4").stdout
    assert "OBSERVED" not in published
    timed = Measurement("l4", "matmul", "bfloat16", "4096x4096x4096", 60.5e12, "FLOP/s", "torch 2.13.0", "our lab",
                        date(2026, 11, 1))  # fmt: skip
    open_store().save_measurements([timed])
    shown = hardware("l4").stdout
    (line,) = [line for line in shown.splitlines() if line.startswith("matmul ")]
    assert line.split() == [
        "matmul",
        "bfloat16",
        "4096x4096x4096",
        "60.5",
        "TFLOP/s",
        "50%",
        "2026-11-01",
        "our",
        "lab",
    ]
    figures = [line for line in published.splitlines() if line.startswith("matrix peak bfloat16")]
    assert len(figures) == 1 and figures[0] in shown.splitlines()
    (record,) = records("l4")
    assert record["measurements"][0]["value"] == 60.5e12
    assert record["matrix_peaks"]["bfloat16"] == 121e12


def test_the_best_of_a_shipped_machine_profile_is_shown(tmp_path):
    from estimator.cli.observed import observations
    from profiles.machine_profile import Machine, MachineProfile, Timing

    timings = (
        Timing("slow product", "matmul", "bfloat16", (0.02,), (0.02,), 2_000_000_000_000, 10),
        Timing("fast product", "matmul", "bfloat16", (0.01,), (0.01,), 2_000_000_000_000, 10),
        Timing("copy", "copy", "float32", (0.001,), (0.001,), 0, 250_000_000),
    )
    MachineProfile(Machine("l4", "NVIDIA L4", "gpu"), "2026-11-02T10:00:00+00:00", "quick", timings).save(
        tmp_path / "l4.json"
    )
    found = {item.quantity: item for item in observations(tmp_path).of("l4")}
    assert (found["matmul"].shape, found["matmul"].value, found["matmul"].unit) == ("fast product", 2e14, "FLOP/s")
    assert (found["copy"].value, found["copy"].unit) == (pytest.approx(2.5e11), "byte/s")
    assert observations(tmp_path).of("t4") == ()
    assert observations(tmp_path / "none").of("l4") == ()


def test_one_device_shows_every_figure_with_source_and_date():
    database = hardware_db.load()
    device = database.device("h100-sxm")
    text = hardware("h100-sxm").stdout
    for figure in device.figures:
        assert f"{figure.value:,.10g}" in text
        assert str(figure.retrieved) in text
        assert all(key in text for key in figure.sources)
    for key in {key for figure in device.figures for key in figure.sources}:
        assert database.sources[key].title.split()[0] in text


def test_one_device_in_json_has_figures_offers_and_sources():
    (record,) = records("h100-sxm")
    device = hardware_db.load().device("h100-sxm")
    assert record["matrix_peaks"] == dict(device.matrix_peaks)
    assert len(record["figures"]) == len(device.figures)
    assert len(record["offers"]) == len(hardware_db.load().offers("h100-sxm"))
    assert {source["key"] for source in record["sources"]} >= {record["figures"][0]["sources"][0]}


def test_hosts_purchase_prices_free_tiers_and_failures_are_shown():
    h100 = hardware("h100-sxm").stdout
    assert "NVIDIA DGX H100: 8 in a host, 8 on the fast link at 450 GB/s (switch), network 50 GB/s each" in h100
    assert "server of 8: 269,000 USD, estimate price of 2023-05-01" in h100
    assert "once in 50,677 device-hours: Llama 3 405B" in h100
    assert "72 on the fast link" in hardware("gb200").stdout
    assert "kaggle free: 2 devices, sessions of 12 h, 30 h a week, seen 2024-03-28" in hardware("t4").stdout
    assert "Hosts" not in hardware("rtx-4060").stdout


def test_several_devices_stand_side_by_side():
    lines = hardware("h100-sxm", "tpu-v5e").stdout.splitlines()
    assert lines[0].split() == ["FIGURE", "UNIT", "h100-sxm", "tpu-v5e"]
    rows = {line.split()[0]: line.split() for line in lines if line}
    assert rows["memory"] == ["memory", "GiB", "80", "16"]
    assert rows["bf16"] == ["bf16", "TFLOP/s", "989.4", "197"]
    assert rows["fp8"] == ["fp8", "TFLOP/s", "1,979", "-"]


def test_an_unknown_figure_is_a_dash_never_zero():
    (row,) = [line for line in hardware().stdout.splitlines() if line.startswith("tpu-v7 ")]
    assert row.split()[-1] == "-"
    assert " 0 " not in row


def test_an_estimated_figure_is_marked():
    database = hardware_db.load()
    marked = next(
        device
        for device in database.devices()
        if any(figure.quantity == "memory_bandwidth" and figure.basis == "estimate" for figure in device.figures)
    )
    (row,) = [line for line in hardware().stdout.splitlines() if line.split()[:1] == [marked.id]]
    assert "~" in row


def test_limit_of_offers():
    offers = hardware_db.load().offers("h100-sxm")
    few = hardware("h100-sxm", "--limit", "3").stdout
    assert f"…{len(offers) - 3} more: --limit 0" in few
    assert "more: --limit" not in hardware("h100-sxm", "--limit", "0").stdout


def test_side_by_side_has_what_a_choice_needs():
    text = hardware("h100-sxm", "b200-sxm", "tpu-v5e").stdout
    rows = {line.split("  ")[0]: line.split()[-3:] for line in text.splitlines() if line}
    assert rows["link"] == ["450", "900", "200"]
    assert rows["network"][:2] == ["50", "50"] and rows["per host"][:2] == ["8", "8"]
    assert rows["fp4"] == ["-", "9,000", "-"] and rows["int8"] == ["1,979", "4,500", "393"]
    assert rows["tf32"] == ["494.7", "1,125", "-"] and rows["L2"][:2] == ["50", "126"]
    assert rows["launch"][:2] == ["33,600", "47,409"] and rows["released"][:2] == ["2022-10-01", "2024-11-15"]


def test_devices_that_a_narrow_page_has_no_room_for_follow_below(monkeypatch):
    monkeypatch.setenv("COLUMNS", "60")
    text = hardware("h100-sxm", "mi300x", "b200-sxm", "epyc-9654", "tpu-v5e").stdout
    heads = [line.split()[2:] for line in text.splitlines() if line.startswith("FIGURE")]
    assert len(heads) > 1
    assert [name for head in heads for name in head] == ["h100-sxm", "mi300x", "b200-sxm", "epyc-9654", "tpu-v5e"]


def test_estimates_keep_their_mark_in_csv_json_and_frames():
    database = hardware_db.load()
    marked = database.device("h20-141gb")
    assert any(figure.basis == "estimate" and figure.quantity == "memory" for figure in marked.figures)
    record = next(device for device in records("--kind", "gpu") if device["id"] == marked.id)
    assert {"memory_bytes", "matrix_peaks.bfloat16", "release_date"} <= set(record["estimated"])
    rows = csv.DictReader(io.StringIO(hardware("--kind", "gpu", "--csv").stdout))
    assert "memory_bytes" in next(row for row in rows if row["id"] == marked.id)["estimated"]
    frame = database.devices_frame().set_index("id")
    assert "matrix_bfloat16_flops_per_s" in frame.loc[marked.id, "estimated"].split(";")
    assert frame.loc["h100-sxm", "estimated"] == ""


@pytest.mark.parametrize("arguments", [["h100-sxm"], ["h100-sxm", "gh200-96gb", "--sources"]])
def test_csv_of_figures_has_a_row_a_figure(arguments):
    database = hardware_db.load()
    names = [name for name in arguments if name != "--sources"]
    rows = list(csv.DictReader(io.StringIO(hardware(*arguments, "--csv").stdout)))
    assert len(rows) == sum(len(database.device(name).figures) for name in names)
    first = rows[0]
    assert first["device"] == "h100-sxm" and first["basis"] and first["source_titles"]
    assert all("{" not in cell for row in rows for cell in row.values())


@pytest.mark.parametrize("width", ["60", "80"])
def test_a_narrow_page_keeps_value_and_source_of_each_figure(monkeypatch, width):
    monkeypatch.setenv("COLUMNS", width)
    lines = hardware("h100-sxm", "k80", "--sources").stdout.splitlines()
    (row,) = [line for line in lines if line.startswith("devices per host") and "unverified" in line]
    assert "~8" in row
    (row,) = [line for line in lines if line.startswith("matrix peak tf32")]
    assert "494.7 TFLOP/s" in row and "aic,composer" in row


def test_a_price_per_device_means_the_same_in_the_list_and_on_the_page(monkeypatch):
    """c3d-standard-8 has 4 cores of 96: at 0.081 USD all of them cost 24 times as much."""
    monkeypatch.setenv("COLUMNS", "120")
    lines = hardware("epyc-9654").stdout.splitlines()
    (place,) = [number for number, line in enumerate(lines) if line.startswith("PROVIDER")]
    assert {"CORES", "VCPUS"} <= set(lines[place].split()) and "DEVICES" not in lines[place].split()
    row = next(line.split() for line in lines if "c3d-standard-8 " in line)
    hour, whole = (float(text.replace("~", "").replace(",", "")) for text in row[6:8])
    assert row[3:5] == ["4", "8"] and whole == pytest.approx(hour * 96 / 4, rel=0.01)
    assert any("all 96 cores" in line for line in lines)
    (record,) = records("epyc-9654")
    on_demand = [each for each in record["offers"] if each["pricing"] == "on_demand"]
    assert on_demand[0]["usd_per_whole_device_hour"] == record["cheapest_usd_per_device_hour"]


def test_prices_of_guessed_machines_are_marked():
    found = {id: each.offer for id, each in cheapest_offers(hardware_db.load()).items()}
    guessed = next(id for id, offer in found.items() if offer.basis == "estimate")
    named = next(id for id, offer in found.items() if offer.basis != "estimate")
    rows = {line.split()[0]: line for line in hardware().stdout.splitlines() if line.strip()}
    assert "~" in rows[guessed].split()[-2] and "~" not in rows[named].split()[-2]
    page = hardware(guessed, "--limit", "0").stdout
    assert "Guessed" in page and found[guessed].note.split(",")[0] in page.replace("\n", " ")
    assert "Guessed" not in hardware("h100-sxm", "--limit", "1").stdout


def test_estimates_mark_guessed_machines_and_announced_hardware(monkeypatch):
    monkeypatch.setenv("COLUMNS", "200")
    asked = ["estimate", "resnet50", "--steps", "10", "--hardware"]
    text = CliRunner().invoke(main, [*asked, "rtx-3080-10gb,a100-sxm-80gb"]).stdout
    row = next(line for line in text.splitlines() if "rtx-3080-10gb " in line)
    assert "~" in row and "Guessed" in text and "rtx-3080-10gb of " in text
    announced = next(each.id for each in hardware_db.load().devices("gpu") if each.status == "announced")
    text = CliRunner().invoke(main, [*asked, announced, "--price", f"{announced}=9"]).stdout
    assert f"{announced} (announced)" in text
