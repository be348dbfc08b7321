"""Estimates of whole runs: rows, reasons, prices, the frontier, and the three forms of output."""

from datetime import date
from itertools import product

import pytest
from estimated import DB, DEVICES, OFFERS, RUN, row_of
from hand_made import WIDTH, database, device, offer, profile
from hypothesis import given
from hypothesis import strategies as st

from estimator import Estimate, Estimates, TrainingRun, estimate, estimate_all
from estimator.answer import Answer
from estimator.ranges import Range
from hardware_db.errors import NoPrice, UnknownDevice, UsageError
from hardware_db.records import System


@pytest.fixture(scope="module")
def rows():
    return estimate_all(RUN, database=DB)


def test_one_row_a_device_and_count_with_its_cheapest_offer(rows):
    assert sorted((row.device.id, row.count) for row in rows.answered) == [("big", 1), ("big", 8), ("epyc", 1)]
    assert [row.cost_usd for row in rows.answered] == sorted(row.cost_usd for row in rows.answered)
    assert row_of(rows, "big").offer.usd_per_hour == 2.0


def test_cost_and_hours_by_hand(rows):
    row = row_of(rows, "big", 8)
    assert row.run_time_s == pytest.approx(row.step_time_s * 3815)
    assert row.device_hours == pytest.approx(row.run_time_s / 3600 * 8)
    assert row.cost_usd == pytest.approx(row.run_time_s / 3600 * 20.0)
    assert row.energy_kwh == pytest.approx(row.run_time_s / 3600 * 8 * row.power_w / 1000)
    assert row.power_w_low < row.power_w < row.power_w_high <= 400
    assert row.cost_usd_low < row.cost_usd < row.cost_usd_high
    assert row.energy_kwh_low < row.energy_kwh < row.energy_kwh_high


def test_mfu_by_hand(rows):
    row = row_of(rows, "big")
    flops = 10 * (6 * 256 * 1024 * WIDTH**2 + 256 * 1024 * WIDTH)  # ten layers: products 2 + 4, relu 1 an element
    assert row.mfu == pytest.approx(flops / (row.step_time_s * 400e12), rel=1e-12)
    assert 0 < row.mfu <= row.hfu < 1


@pytest.mark.parametrize(
    ("id", "kind", "text"),
    [
        ("half", "precision", "half has no bfloat16. It has float16"),
        ("unlinked", "link", "link unknown: no bandwidth between the devices of 4 × unlinked is known"),
        ("unmeasured", "figures", "no memory bandwidth of unmeasured is known"),
        ("inferentia2", "training", "inferentia2 runs trained models only"),
    ],
)
def test_rows_without_an_answer_stay_and_say_why(rows, id, kind, text):
    row = next(row for row in rows.unanswered if row.device.id == id)
    assert row.why_not_kind == kind and text in row.why_not
    assert (row.step_time_s, row.run_time_s, row.cost_usd, row.mfu, row.bound) == (None,) * 5


def test_devices_without_a_price_are_left_out_by_name(rows):
    assert rows.left_out == {"unpriced": "no on demand price"}


def test_a_rented_cpu_is_the_part_that_is_rented(rows):
    row = row_of(rows, "epyc")
    assert row.device.peak_flops_per_s("bfloat16") == pytest.approx(8e12 * 4 / 64)
    assert row.memory_bytes == 32 * 2**30
    assert row.answer.step.host.mid == 0
    assert row.power_w_low < row.power_w < row.power_w_high <= 360 * 4 / 64
    assert row.energy_kwh == pytest.approx(row.run_time_s / 3600 * row.power_w / 1000)


def test_all_offers(rows):
    every = estimate_all(RUN, database=DB, all_offers=True)
    assert len(every) > len(rows)
    assert {row.offer.region for row in every if row.device.id == "big" and row.count == 1} == {"us-east1", "eu-west1"}


def test_whole_machines_are_paid_and_idle_devices_named():
    row = estimate_all(RUN, devices="big", counts=[4], database=database(DEVICES, [offer("big", 8, 20.0)]))[0]
    assert (row.instances, row.idle_devices) == (1, 4)
    assert row.cost_usd == pytest.approx(row.run_time_s / 3600 * 20.0)
    assert row.device_hours == pytest.approx(row.run_time_s / 3600 * 4)


def test_many_machines_join_over_the_usual_network_and_it_is_said():
    found = estimate_all(RUN, devices="big", counts=[64], database=database(DEVICES, [offer("big", 8, 20.0)]))
    group = found[0].answer.group
    assert (found[0].instances, group.size, group.machines) == (8, 64, 8)
    assert group.bytes_per_s == min(300e9, 8 * 25e9)
    assert any("network between machines: the usual one for big" in text for text in found.warnings)


def test_a_known_machine_brings_its_own_network():
    cloud = System("cloud-8", "Cloud 8", "big", 8, 8, "switch", 290e9, 3e9, "", None, ("big-x8",), "vendor", (),
                   date(2026, 1, 1))  # fmt: skip
    found = estimate_all(
        RUN, devices="big", counts=[8, 64], database=database(DEVICES, [offer("big", 8, 20.0)], [cloud])
    )
    links = {row.count: row.answer.group.bytes_per_s for row in found}
    assert links == {8: 290e9, 64: 8 * 3e9}
    assert not any("usual one" in text for text in found.warnings)


def test_a_slice_is_joined_by_its_link_whatever_its_size():
    tpu = device("tpu", kind="tpu", devices_per_host=4, internode_bandwidth_bytes_per_s=None)
    rows = estimate_all(RUN, counts=[64], database=database([tpu], [offer("tpu", 64), offer("tpu", 8, 0.1)]))
    assert rows[0].offer.device_count == 64 and rows[0].answer.group.machines == 1


def test_the_network_between_small_machines_is_not_made_up():
    row = estimate_all(RUN, devices="big", counts=[8], database=database(DEVICES, [offer("big", 1, 2.0)]))[0]
    assert row.why_not.startswith(
        "link unknown: no network between machines of 1 × big is known. Give it: plan --network"
    )


def test_a_device_takes_the_first_precision_it_has():
    runs = [TrainingRun(profile(precision=name), steps=1) for name in ("bfloat16", "float16")]
    found = estimate_all(runs, database=DB)
    assert row_of(found, "big").precision == "bfloat16"
    assert row_of(found, "half").precision == "float16" and row_of(found, "half").run_time_s > 0


def test_a_batch_that_does_not_divide():
    run = RUN.replace(global_batch_size=500)
    with pytest.raises(UsageError, match=r"batch size 500 over 8 devices leaves a remainder\. Nearest: 504"):
        estimate_all(run, counts=[8], database=DB)
    with pytest.raises(UsageError, match=r"500 over 8 devices × micro-batch 32 leaves a remainder\. Nearest: 512"):
        estimate(run.replace(micro_batch_size=32), "big", 8, database=DB)
    by_default = estimate_all(run, database=DB)
    assert [row.count for row in by_default if row.device.id == "big"] == [1]


def test_a_package_of_two_that_cannot_share_the_batch_is_a_row_not_a_failure():
    pair = device("pair", logical_devices=2)
    rows = estimate_all(RUN, counts=[256], database=database([*DEVICES, pair], [offer("pair", 4), offer("big", 8)]))
    row = row_of(rows, "pair", 256)
    assert row.why_not_kind == "batch"
    assert row.why_not == "batch size 256 over 512 replicas leaves a remainder. Nearest: 512"
    assert row_of(rows, "big", 256).run_time_s > 0


def test_a_count_below_one():
    with pytest.raises(UsageError, match="count must be 1 or more; given: 0"):
        estimate(RUN, "big", 0, database=DB)
    with pytest.raises(UsageError, match="count must be 1 or more"):
        estimate_all(RUN, counts=[0], database=DB)


def test_unknown_hardware():
    with pytest.raises(UnknownDevice, match="Did you mean big"):
        estimate(RUN, "bigg", database=DB)


@pytest.mark.parametrize(
    ("choice", "message"),
    [
        ({"devices": "big", "region": "mars"}, "No on demand price in mars for big. Known regions: eu-west1, us-east1"),
        ({"devices": "big", "provider": "acme"}, "No on demand price of acme for big. Known providers: alpha"),
        ({"devices": "half", "pricing": "spot"}, "No spot price for half. Known pricings: on_demand"),
    ],
)
def test_no_price_says_where_there_is_one(choice, message):
    with pytest.raises(NoPrice) as caught:
        estimate_all(RUN, **choice, database=DB)
    assert str(caught.value) == message


def test_a_device_nobody_rents_is_estimated_without_a_price_when_asked_for():
    row = estimate_all(RUN, devices="unpriced", counts=[8], database=DB)[0]
    assert row.cost_usd is None and row.offer is None and row.run_time_s > 0
    assert estimate(RUN, "unpriced", database=DB).cost_usd is None


def test_estimate_takes_the_cheapest_offer_on_demand_or_the_one_given():
    assert estimate(RUN, "big", database=DB).offer.usd_per_hour == 2.0
    assert estimate(RUN, "big", offer=OFFERS[1], database=DB).offer.usd_per_hour == 3.0


def test_an_mfu_replaces_the_prediction(rows):
    row = estimate(RUN.replace(mfu=0.4), "big", database=DB)
    assert row.mfu == pytest.approx(0.4) and row.basis == "given"
    assert row.step_time.low == row.step_time.high
    warned = estimate_all(RUN.replace(mfu=0.4), database=DB)
    assert any("mfu 0.4 replaces" in text for text in warned.warnings)
    assert any("MFU 0.4 as given" in text for text in warned.assumptions)


def test_unknown_arguments_are_refused():
    with pytest.raises(TypeError, match="no argument device"):
        estimate_all(RUN, device="big")


def test_sorts(rows):
    times = [row.run_time_s for row in rows.sort("time").answered]
    assert times == sorted(times)
    energies = [row.energy_kwh for row in rows.sort("energy").answered]
    assert energies == sorted(energies)
    assert rows.fastest() is rows.sort("time")[0] and rows.cheapest() is rows.sort("cost")[0]
    with pytest.raises(UsageError, match="choose one of cost, time, energy"):
        rows.sort("beauty")


def points(pairs):
    alone = Answer(DEVICES[0], 1)
    found = [Estimate(RUN, alone, run_time=Range.exactly(time), cost=Range.exactly(cost)) for time, cost in pairs]
    return Estimates(tuple(found), (RUN,))


@given(st.lists(st.tuples(st.integers(1, 20), st.integers(1, 20)), min_size=1, max_size=40))
def test_the_frontier_is_what_nothing_beats(pairs):
    frontier = [(row.run_time_s, row.cost_usd) for row in points(pairs).pareto()]
    beaten = {one for one, other in product(pairs, pairs) if other != one and other[0] <= one[0] and other[1] <= one[1]}
    assert sorted(frontier) == sorted(set(pairs) - beaten)


def test_prices_age():
    found = estimate_all(RUN, database=DB)
    old = Estimates(found.rows, found.runs, today=date(2026, 12, 25))
    assert any("older than 30 days, the oldest 54 days" in text for text in old.warnings)
    fresh = Estimates(found.rows, found.runs, today=date(2026, 11, 20))
    assert not any("older" in text for text in fresh.warnings)
    assert any("on demand prices of 2026-11-01" in text for text in fresh.assumptions)


@given(batch=st.sampled_from([8, 64, 512]), tokens=st.floats(1e7, 1e13))
def test_cost_grows_with_the_work(batch, tokens):
    run = RUN.replace(tokens=tokens, global_batch_size=batch)
    once, twice = (estimate(each, "big", database=DB) for each in (run, run.replace(tokens=2 * tokens)))
    assert twice.cost_usd >= once.cost_usd
    assert twice.step_time_s == once.step_time_s


def test_a_device_of_your_own_takes_the_place_of_the_published_one():
    slower = device("big", matrix_peaks={"bfloat16": 100e12})
    own, published = estimate(RUN, slower, database=DB), estimate(RUN, "big", database=DB)
    assert own.step_time_s > 3 * published.step_time_s
    assert own.offer.usd_per_hour == published.offer.usd_per_hour


def test_a_batch_larger_than_the_run_is_said():
    whole = estimate_all(RUN.replace(samples=1000, global_batch_size=4000), database=DB)
    assert any("1 whole steps of 4,000 samples are 4 times the 1,000 samples" in each for each in whole.warnings)
    assert not any("whole steps" in each for each in estimate_all(RUN, database=DB).warnings)


def test_a_slip_of_a_unit_is_refused():
    with pytest.raises(UsageError, match="check the unit"):
        RUN.replace(tokens=1e30)


def test_compiled_code_is_no_slower_and_is_an_assumption(rows):
    compiled = estimate_all(RUN.replace(compiled=True), database=DB)
    assert row_of(compiled, "big").step_time_s < row_of(rows, "big").step_time_s
    assert "torch.compile; a compiled graph on TPUs" in compiled.assumptions
    assert "eager PyTorch (else --compile); a compiled graph on TPUs" in rows.assumptions


def test_pure_half_precision_is_an_assumption(rows):
    assert any(line.startswith("bfloat16 throughout, optimizer states too") for line in rows.assumptions)


def test_rows_that_lack_memory_come_with_the_least_lacking_first():
    small = [device("tiny", memory_bytes=540 * 10**6), device("less", memory_bytes=400 * 10**6), device("big")]
    found = estimate_all(RUN, database=database(small, [offer("tiny"), offer("less"), offer("big")]))
    assert [row.device.id for row in found.unanswered] == ["tiny", "less"]
    assert "Too small   tiny misses least." in repr(found) and "flopcast fit ten-layers --device tiny" in repr(found)
