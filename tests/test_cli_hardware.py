"""`flopcast hardware`: filters, order, sources, side by side, JSON and CSV."""

import csv
import io
import json

import pytest
from click.testing import CliRunner

import hardware_db
from estimator.cli import main
from estimator.cli.device_filters import SORTS, Filters, Ranking, cheapest_offers, in_order, training_peak


def hardware(*arguments: str, code: int = 0):
    result = CliRunner().invoke(main, ["hardware", *arguments])
    assert result.exit_code == code, result.output
    return result


def records(*arguments: str, code: int = 0):
    return json.loads(hardware(*arguments, "--json", code=code).stdout)["results"]


def test_every_device_has_one_line():
    lines = hardware().stdout.splitlines()
    for device in hardware_db.load().devices():
        assert sum(line.split()[:1] == [device.id] for line in lines) == 1


def test_list_says_the_convention_and_the_age_of_prices():
    text = hardware().stdout
    assert "1 multiply-add = 2 FLOPs" in text
    assert "on-demand" in text and "seen 2026-" in text


@pytest.mark.parametrize(
    ("arguments", "holds"),
    [
        (["--kind", "tpu"], lambda device: device["kind"] == "tpu"),
        (["--vendor", "amd"], lambda device: device["vendor"] == "AMD"),
        (["--min-memory", "80GB"], lambda device: (device["memory_bytes"] or 0) >= 80e9),
        (["--precision", "fp8"], lambda device: "float8" in device["matrix_peaks"] | device["vector_peaks"]),
        (["--year", "2022"], lambda device: (device["release_date"] or "").startswith("2022")),
        (["--year", "2023..2024"], lambda device: "2023" <= (device["release_date"] or "")[:4] <= "2024"),
        (["--year", "2025.."], lambda device: (device["release_date"] or "") >= "2025"),
        (["--year", "..2015"], lambda device: "0" < (device["release_date"] or "") < "2016"),
    ],
)
def test_filters_keep_exactly_what_they_say(arguments, holds):
    kept = {device["id"] for device in records(*arguments)}
    assert kept == {device["id"] for device in records() if holds(device)} != set()


def test_filters_combine():
    kept = records("--kind", "gpu", "--vendor", "AMD", "--min-memory", "100GB")
    assert kept
    assert all(device["vendor"] == "AMD" and device["memory_bytes"] >= 100e9 for device in kept)


def test_nothing_found_is_answered_no():
    assert "No device is like that" in hardware("--kind", "tpu", "--vendor", "AMD", code=1).stdout
    assert records("--kind", "tpu", "--vendor", "AMD", code=1) == []


def test_a_device_without_the_figure_is_not_taken():
    database = hardware_db.load()
    unknown = [device for device in database.devices() if device.memory_bytes is None]
    assert unknown
    assert not any(Filters(min_memory=1).take(device) for device in unknown)


@pytest.mark.parametrize("sort", SORTS)
def test_orders_are_best_first_and_unknown_last(sort):
    database = hardware_db.load()
    ranking = Ranking(cheapest_offers(database))
    key, direction = SORTS[sort]
    values = [key(ranking, device) for device in in_order(database.devices(), sort, ranking)]
    known = [value for value in values if value is not None]
    assert values[: len(known)] == known
    assert known == sorted(known, reverse=direction < 0)
    assert len(values) == len(database.devices())


def test_peak_of_training_is_the_better_16_bit_one():
    database = hardware_db.load()
    h100 = database.device("h100-sxm")
    assert training_peak(h100) == pytest.approx(989.4e12, rel=1e-3)
    assert training_peak(database.device("k80")) == database.device("k80").peak_flops_per_s("float32")


def test_price_per_pflop_is_price_over_peak():
    database = hardware_db.load()
    offers = cheapest_offers(database)
    key, _ = SORTS["price-per-pflop"]
    h100 = database.device("h100-sxm")
    cheapest = offers["h100-sxm"].offer
    assert key(Ranking(offers), h100) == cheapest.usd_per_device_hour / (989.4e12 / 1e15)
    assert key(Ranking(offers, "float64"), h100) == cheapest.usd_per_device_hour / (66.9e12 / 1e15)


def test_a_processor_costs_what_all_its_cores_cost():
    """A rented part of a socket has its price and the socket has its peak: the two are never divided as they are."""
    database = hardware_db.load()
    found = cheapest_offers(database)["epyc-9654"]
    socket = database.device("epyc-9654")
    assert found.offer.cores < socket.compute_units
    assert found.usd_per_hour == pytest.approx(found.offer.usd_per_hour * socket.compute_units / found.offer.cores)
    key, _ = SORTS["price-per-pflop"]
    rented = database.device_of(found.offer)
    per_pflops = found.offer.usd_per_hour / (training_peak(rented) / 1e15)
    assert key(Ranking({socket.id: found}), socket) == pytest.approx(per_pflops)


def test_every_price_on_screen_carries_its_date_and_an_old_one_warns():
    offers = cheapest_offers(hardware_db.load())
    for result in (hardware("h100-sxm", "tpu-v5e"), hardware("--kind", "tpu")):
        assert str(offers["tpu-v5e"].offer.as_of) in result.stdout
        assert "prices are older than 30 days" in result.stderr
    days = {str(offer.as_of) for offer in hardware_db.load().offers("h100-sxm")[:10]}
    assert all(day in hardware("h100-sxm").stdout for day in days)
    (record,) = records("tpu-v5e")
    assert record["cheapest_as_of"] == str(offers["tpu-v5e"].offer.as_of)


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


def test_names_are_exact_aliases_and_patterns():
    assert [device["id"] for device in records("NVIDIA H100 80GB HBM3", "NVIDIA L4")] == ["h100-sxm", "l4"]
    assert {device["id"] for device in records("a100-*")} == {
        "a100-pcie-40gb",
        "a100-pcie-80gb",
        "a100-sxm-40gb",
        "a100-sxm-80gb",
    }


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


def test_csv_has_a_row_a_device():
    rows = list(csv.DictReader(io.StringIO(hardware("--kind", "tpu", "--csv").stdout)))
    assert [row["id"] for row in rows] == [device.id for device in hardware_db.load().devices("tpu")]
    assert float(rows[0]["matrix_peaks.bfloat16"]) > 0


@pytest.mark.parametrize("width", ["60", "80", "100", "120", "160"])
@pytest.mark.parametrize("arguments", [[], ["h100-sxm"], ["h100-sxm", "tpu-v5e", "epyc-9654"]])
def test_no_line_is_wider_than_the_page(monkeypatch, width, arguments):
    monkeypatch.setenv("COLUMNS", width)
    assert max(map(len, hardware(*arguments).stdout.splitlines())) <= int(width)


def test_peaks_are_sorted_and_shown_in_the_precision_asked_for():
    """The H100 leads in 16 bits over the MI250X and falls behind it in 64."""
    lines = hardware("h100-sxm", "mi250x", "l4", "--precision", "fp64", "--sort", "peak").stdout.splitlines()
    assert lines[0].split() == ["FIGURE", "UNIT", "mi250x", "h100-sxm", "l4"]
    ids = [device["id"] for device in records("--precision", "fp64", "--sort", "peak")]
    peaks = [device["peak_flops_per_s"] for device in records("--precision", "fp64", "--sort", "peak")]
    assert peaks == sorted(peaks, reverse=True) and ids.index("mi250x") < ids.index("h100-sxm")
    assert peaks[ids.index("h100-sxm")] == 66.9e12


@pytest.mark.parametrize(("precision", "head"), [("fp64", "FP64"), ("int8", "INT8"), ("fp4", "FP4"), ("tf32", "TF32")])
@pytest.mark.parametrize("width", ["60", "120"])
def test_a_precision_that_was_asked_for_has_its_column(monkeypatch, precision, head, width):
    monkeypatch.setenv("COLUMNS", width)
    assert head in hardware("--precision", precision).stdout.splitlines()[0].split()


def test_the_price_of_a_pflop_has_its_column():
    lines = hardware("--sort", "price-per-pflop", "--kind", "gpu").stdout.splitlines()
    assert "PER PFLOP/S" in lines[0]
    (row,) = [line.split() for line in lines if line.startswith("h100-sxm ")]
    (record,) = [each for each in records("--kind", "gpu") if each["id"] == "h100-sxm"]
    assert row[-2] == f"{record['usd_per_hour_per_pflops']:.2f}"
    assert record["usd_per_hour_per_pflops"] == record["cheapest_usd_per_device_hour"] / 0.9894
    assert "PER PFLOP/S" not in hardware("--sort", "price").stdout


def test_what_cannot_be_bought_yet_is_marked():
    lines = hardware("--sort", "peak").stdout.splitlines()
    announced = [device.id for device in hardware_db.load().devices() if device.status == "announced"]
    assert announced
    for name in announced:
        assert [line for line in lines if line.startswith(f"{name} (announced)")]
    assert "announced" in hardware("rubin").stdout.splitlines()[0]


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


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["--year", "2024..2022"], "--year 2024..2022 ends before it begins. Did you mean 2022..2024?"),
        (["--vendor", "NVIDA"], "Did you mean NVIDIA? Vendors: AMD, Apple"),
        (["--vendor", "Acme"], "Vendors: AMD, Apple"),
        (["--min-memory", "80"], "--min-memory 80: 80 what? 80GB or 80GiB"),
        (["RTX 6000"], "quadro-rtx-6000, rtx-6000-ada, rtx-pro-6000-workstation"),
        (["p4d.24xlarge"], "is a machine, not a device: AWS p4d.24xlarge has 8 × a100-sxm-40gb"),
        (["dgx-h100"], "NVIDIA DGX H100 has 8 × h100-sxm"),
        (["h100"], "'h100-*' takes all, and h100-sxm-96gb, h100-sxm-96gb-hbm2e too"),
        ([""], "No hardware is named"),
    ],
)
def test_foolish_questions_are_told_what_would_work(arguments, said):
    assert said in hardware(*arguments, code=2).stderr


@pytest.mark.parametrize("kind", ["mobile", "fpga"])
def test_devices_of_integers_alone_show_those(monkeypatch, kind):
    monkeypatch.setenv("COLUMNS", "100")
    heads, units, *lines = hardware("--kind", kind).stdout.splitlines()
    assert "INT8" in heads.split() and "TOP/s" in units.split()
    first = next(record for record in records("--kind", kind) if record["matrix_peaks"].get("int8"))
    shown = f"{first['matrix_peaks']['int8'] / 1e12:.4g}"
    assert any(shown in line for line in lines if line.startswith(f"{first['id']} "))
    assert "INT8" not in hardware("--kind", "gpu").stdout.splitlines()[0]


def test_integers_are_operations_not_flops():
    lines = hardware("t4", "l4").stdout.splitlines()
    assert [line.split()[1] for line in lines if line.startswith(("int8", "fp16"))] == ["TFLOP/s", "TOP/s"]


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


def test_a_name_of_several_words_needs_no_quotes():
    assert [each["id"] for each in records("rtx", "4090")] == ["rtx-4090"]
    assert [each["id"] for each in records("t4", "l4")] == ["t4", "l4"]
    assert "'rtx 3060' is 2 devices" in hardware("rtx", "3060", code=2).stderr
    assert "Did you mean" in hardware("rtx", "409", code=2).stderr
    assert "'nonsense'" in hardware("t4", "nonsense", code=2).stderr


def test_the_list_leads_on_to_a_device_that_can_be_rented():
    offers = cheapest_offers(hardware_db.load())
    (line,) = [line for line in hardware().stdout.splitlines() if line.startswith("Next")]
    assert line.split()[-1] in offers


def test_an_unknown_vendor_is_told_which_there_are():
    said = hardware("--vendor", "Nvida", code=2).stderr
    assert "made by --vendor 'Nvida'. Did you mean NVIDIA?" in said
