"""`flopcast hardware`: filters, order, sources, side by side, JSON and CSV."""

import csv
import io
from functools import partial

import pytest
from cli_calls import results, run

import hardware_db
from estimator.cli.device_filters import SORTS, Filters, Ranking, cheapest_offers, in_order, training_peak

hardware, records = partial(run, "hardware"), partial(results, "hardware")


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


def test_names_are_exact_aliases_and_patterns():
    assert [device["id"] for device in records("NVIDIA H100 80GB HBM3", "NVIDIA L4")] == ["h100-sxm", "l4"]
    assert {device["id"] for device in records("a100-*")} == {
        "a100-pcie-40gb",
        "a100-pcie-80gb",
        "a100-sxm-40gb",
        "a100-sxm-80gb",
    }


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
