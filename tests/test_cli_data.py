"""The commands around the data: detect, own devices, own prices, history, the database."""

import json
from datetime import date

import pytest
from cli_calls import PRICES, import_prices, results, run

import hardware_db
from hardware_db.detect_cpu import CpuFacts

pytestmark = pytest.mark.usefixtures("home")
DEVICE = """\
[[device]]
id = "acme-x1"
like = "h100-sxm"
name = "Acme X1"
source = "data sheet rev. 3"
date = 2026-11-01
memory = "{memory}"
"""


def test_detect_names_the_processor_and_its_row():
    (cpu, *cards) = results("detect")
    assert cpu["reported"]["cores"] > 0
    assert cpu["reported"]["memory_bytes"] > 0
    text = run("detect").stdout
    assert cpu["reported"]["name"][:20] in text
    assert len([line for line in text.splitlines() if line.startswith("card ")]) == len(cards)


def test_own_devices_are_checked(home):
    good = home / "good.toml"
    good.write_text(DEVICE.format(memory="120 GiB"))
    assert "every figure passes (devices: 1, systems: 0)" in run("hardware", "--check", good).stdout
    bad = home / "bad.toml"
    bad.write_text(DEVICE.format(memory="120 GiB") + 'memory_bandwidth = "1 GB/s"\n')
    assert "acme-x1" in run("hardware", "--check", bad, code=1).stdout
    assert results("hardware", "--check", bad, code=1)[0]["fault"].startswith("acme-x1: ")
    broken = home / "broken.toml"
    broken.write_text("[[device")
    assert "broken.toml cannot be read" in run("hardware", "--check", broken, code=2).stderr


def test_own_devices_are_known_to_every_command(home):
    path = home / "devices.toml"
    path.write_text(DEVICE.format(memory="120 GiB"))
    (record,) = results("hardware", "acme-x1", "--devices", path)
    assert record["memory_bytes"] == 120 * 2**30
    assert record["matrix_peaks"] == dict(hardware_db.load().device("h100-sxm").matrix_peaks)
    assert "No hardware 'acme-x1'" in run("hardware", "acme-x1", code=2).stderr


def test_own_devices_in_the_configuration_folder_need_no_option(home):
    path = home / "config" / "flopcast" / "devices.toml"
    path.parent.mkdir(parents=True)
    path.write_text(DEVICE.format(memory="120 GiB"))
    assert results("hardware", "acme-x1")[0]["name"] == "Acme X1"


def test_shared_devices_are_known_until_they_are_taken_back(home):
    path = home / "team.toml"
    path.write_text(DEVICE.format(memory="120 GiB"))
    assert "shared as team.toml: acme-x1" in run("db", "share", path).stdout
    path.unlink()
    assert results("hardware", "acme-x1")[0]["memory_bytes"] == 120 * 2**30
    assert "No shared file 'tema.toml'. Shared: team.toml" in run("db", "unshare", "tema.toml", code=2).stderr
    assert "team.toml is shared no more" in run("db", "unshare", "team.toml").stdout
    assert "No hardware 'acme-x1'" in run("hardware", "acme-x1", code=2).stderr


def test_a_broken_file_is_not_shared(home):
    path = home / "bad.toml"
    path.write_text("[[device")
    assert "bad.toml cannot be read" in run("db", "share", path, code=2).stderr
    assert all(row["rows"] == 0 for row in results("db", "info"))


def test_database_goes_out_and_in_again(home, monkeypatch):
    import_prices(home, f"acme,box,here,h100-sxm,8,on_demand,4.00,{date.today()}")
    path = home / "all.json"
    assert f"written to {path}" in run("db", "export", path).stdout
    monkeypatch.setenv("XDG_DATA_HOME", str(home / "other"))
    assert {row["rows"] for row in results("db", "info")} == {0}
    run("db", "import", path)
    assert {row["table"]: row["rows"] for row in results("db", "info")}["prices"] == 1
    assert results("hardware", "h100-sxm")[0]["cheapest_usd_per_device_hour"] == 0.5


def test_database_that_does_not_answer_leaves_the_published_tables(monkeypatch, home):
    blocked = home / "blocked"
    blocked.write_text("no folder")
    monkeypatch.setenv("FLOPCAST_DB", f"sqlite:///{blocked}/flopcast.db")
    assert "Error: " in run("db", "info", code=2).stderr
    result = run("hardware", "h100-sxm")
    assert "vector peak" in result.stdout
    assert result.stderr.startswith("Warning: ")


def test_a_list_or_an_export_that_comes_twice_counts_once(home):
    line = f"acme,box,here,h100-sxm,8,on_demand,4.00,{date.today()}"
    import_prices(home, line)
    assert "already: 1 price of own.csv" in import_prices(home, line).stdout
    assert {row["table"]: row["rows"] for row in results("db", "info")}["price_snapshots"] == 1
    run("db", "export", home / "all.json")
    before = results("db", "info")
    assert {row["rows"] for row in results("db", "import", home / "all.json")} == {0}
    assert "were there" in run("db", "import", home / "all.json").stdout
    assert results("db", "info") == before
    import_prices(home, line.replace("4.00", "5.00"))
    import_prices(home, line)
    assert results("hardware", "h100-sxm")[0]["cheapest_usd_per_device_hour"] == 0.5, "the last list counts"


def test_a_broken_file_of_own_devices_stops_only_what_needs_it(home):
    path = home / "config" / "flopcast" / "devices.toml"
    path.parent.mkdir(parents=True)
    path.write_text("[[device]]\nid = 5\n")
    said = run("hardware", "l4", code=2).stderr
    assert str(path) in said and "--devices FILE" in said and "id is 5" in said
    other = home / "other.toml"
    other.write_text(DEVICE.format(memory="120 GiB"))
    assert results("hardware", "acme-x1", "--devices", other)
    for command in (["prices", "history", "l4"], ["detect"]):
        result = run(*command)
        assert result.stdout and str(path) in result.stderr and result.stderr.startswith("Warning: ")
    assert str(path) in run("doctor", code=1).stdout
    assert str(path) in run("hardware", "--check", path, code=2).stderr


def test_own_machines_are_planned_with(home):
    path = home / "devices.toml"
    node = """
[[system]]
id = "acme-node"
device = "acme-x1"
devices_per_host = 4
topology = "switch"
scale_up_bandwidth = "300 GB/s"
scale_out_bandwidth = "12.5 GB/s"
source = "data sheet rev. 3"
date = 2026-11-01
"""
    path.write_text(DEVICE.format(memory="120 GiB") + node)
    asked = ["plan", "gpt2", "--hardware", "acme-x1", "--count", "8", "--global-batch-size", "64", "--devices", path]
    assert "links of acme-node" in json.loads(run(*asked, "--json").stdout)["assumptions"]
    assert (
        "acme-node: 4 in a host, 4 on the fast link at 300 GB/s" in run("hardware", "acme-x1", "--devices", path).stdout
    )


def test_detect_says_how_many_cores_and_threads(monkeypatch):
    monkeypatch.setattr("estimator.cli.detect.installed_torch", lambda: None)
    (cpu, *_) = results("detect")
    assert cpu["reported"]["threads"] >= cpu["reported"]["cores"] > 0
    head, _, row = run("detect").stdout.splitlines()[:3]
    assert head.split().index("THREADS") == head.split().index("CORES") + 1
    assert f"{cpu['reported']['cores']:g}" in row.split()


def test_detect_marks_what_is_not_published_of_this_machine(monkeypatch):
    monkeypatch.setattr("estimator.cli.detect.installed_torch", lambda: None)
    hidden = CpuFacts("Intel(R) Xeon(R) Processor @ 2.50GHz", "GenuineIntel/6/85/7", frozenset(), 2, 24 * 2**30)
    monkeypatch.setattr("hardware_db.detect.read_cpu", lambda: hidden)
    (cpu, *_) = results("detect")
    assert "vector_peaks.float32" in cpu["estimated"] and cpu["device"]["compute_units"] == 2
    text = run("detect").stdout
    assert "~0.32" in text and "~11.7" in text and "~ marks an estimate" in text
    table = run("detect", "--csv").stdout
    assert "{" not in table and "vector_peaks.float32; " in table


def test_files_of_other_shapes_are_told_what_would_work(home):
    listed = home / "own.csv"
    listed.write_text(PRICES.replace(",", ";") + "acme;box;here;h100-sxm;8;on_demand;4;2026-11-20\n")
    assert "separated by semicolons; use commas" in run("prices", "import", listed, code=2).stderr
    for name, command in (("own.csv", ("prices", "import")), ("own.toml", ("hardware", "--check"))):
        (home / name).write_bytes(b"\x89PNG\r\n\x00\xff\xfe")
        assert "no text in UTF-8" in run(*command, home / name, code=2).stderr
    own = home / "bom.toml"
    own.write_text("\ufeff" + DEVICE.format(memory="120 GiB"), encoding="utf-8")
    assert "every figure passes" in run("hardware", "--check", own).stdout
