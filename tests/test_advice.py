"""Advice: the recommendation is the one that brute force finds, every limit is kept, and "no" says what comes near."""

import json
import math
import random
from dataclasses import replace

import numpy as np
import pytest
from click.testing import CliRunner
from hand_made import database, device, offer, profile
from hypothesis import given
from hypothesis import strategies as st

from estimator import TrainingRun, estimate
from estimator.advice import Wishes, advise
from estimator.advice.bound import Beaten
from estimator.advice.candidates import pareto
from estimator.advice.carbon import WORLD_GRAMS_PER_KWH, emissions
from estimator.advice.chance import below, in_time, less
from estimator.advice.free_tier import in_sessions
from estimator.advice.market import Market
from estimator.claims.asking import profile_of
from estimator.cli import main
from estimator.ranges import Range
from estimator.whole_run import NEVER, Overheads
from estimator.workload import Workload
from hardware_db import load
from hardware_db.errors import NoPrice, UsageError
from hardware_db.market import FreeTier

# The hand-made network takes seconds; 64 times the batch's tokens make hours of it.
RUN = TrainingRun(profile(), tokens=1e12, sequence_length=1024)
DEVICES = [
    device("big"),
    device("slow", matrix_peaks={"bfloat16": 50e12}, memory_bandwidth_bytes_per_s=4e11, tdp_w=70.0),
    device("tpu-x", kind="tpu"),
    device("t4"), device("tpu-v2"), device("tpu-v5e"), device("p100-pcie-16gb"), device("tpu-v3"),
]  # fmt: skip
OFFERS = [
    offer("big", 1, 4.0),
    offer("big", 8, 30.0),
    offer("big", 1, 1.0, pricing="spot", region="eu-west1"),
    offer("slow", 1, 0.3),
    offer("slow", 1, 0.4, provider="gcp", region="europe-north1"),
    offer("tpu-x", 4, 9.0, region="us-west1"),
]
DB = database(DEVICES, OFFERS)


def asked(**limits):
    return advise(RUN, database=DB, **limits)


def every_estimate(spot=False):
    rows = []
    for one in OFFERS:
        if one.pricing == "on_demand" or spot:
            for count in (1, 2, 4, 8):
                row = estimate(RUN, one.device, count, one, database=DB)
                rows += [row] if row.cost else []
    return rows


def test_the_cheapest_safe_option_is_recommended():
    everything = every_estimate()
    budget, deadline = 3 * min(row.cost_usd for row in everything), 24 * 3600.0
    found = asked(budget_usd=budget, deadline_s=deadline)
    safe = [
        row for row in everything
        if min(below(row.cost, budget), in_time(row.whole, deadline)) >= 0.8
    ]  # fmt: skip
    assert safe and found.best.row.cost_usd == pytest.approx(min(row.cost_usd for row in safe))
    assert found.best.row.cost_usd <= budget and found.best.row.run_time_s <= deadline


def test_the_frontier_is_that_of_brute_force():
    rows = every_estimate()
    points = {(round(r.run_time_s, 3), round(r.cost_usd, 6), round(emissions(r).co2_kg.mid, 9)) for r in rows}
    best = {p for p in points if not any(all(o <= s for o, s in zip(q, p, strict=True)) and q != p for q in points)}
    found = {(round(o.row.run_time_s, 3), round(o.row.cost_usd, 6), round(o.co2_kg, 9)) for o in asked().frontier}
    assert found == best


@given(st.lists(st.tuples(*[st.integers(0, 5)] * 3), max_size=40))
def test_pareto_of_any_points(points):
    table = np.array(points, dtype=float).reshape(-1, 3)
    kept = {points[place] for place in pareto(table).tolist()}
    best = {p for p in points if not any(all(o <= s for o, s in zip(q, p, strict=True)) and q != p for q in points)}
    assert kept == best


def test_neighbours_are_better_in_what_they_are_called():
    found = asked(deadline_s=5 * 86400.0)
    kinds = {each.kind: each.option for each in found.neighbours}
    assert [each["better"] for each in found.to_dict()["neighbours"]] == list(kinds)
    assert set(kinds) <= {"cheaper", "faster", "greener", "safer"} and kinds
    for kind, figure in (("cheaper", lambda o: o.row.cost_usd), ("faster", lambda o: o.row.run_time_s)):
        if kind in kinds:
            assert figure(kinds[kind]) < figure(found.best)


def test_nothing_fits_says_what_comes_near_and_what_would_fit():
    found = asked(budget_usd=0.5, deadline_s=60.0)
    assert found.best is None and found.nearest is not None
    assert "Nothing fits $0.5" in found.sentence and "Nearest" in found.sentence
    over = max(found.nearest.row.cost_usd / 0.5, found.nearest.row.run_time_s / 60)
    others = [max(row.cost_usd / 0.5, row.run_time_s / 60) for row in every_estimate()]
    assert over <= min(others) * (1 + 1e-9)
    # Starting up alone takes longer than the deadline, so no part of the work would do.
    assert not any("of the work" in text for text in found.remedies)


def test_the_part_of_the_work_that_is_said_to_fit_fits():
    found = asked(budget_usd=1.0)
    share = next(float(text.split()[0]) for text in found.remedies if "of the work" in text)
    less_work = advise(RUN.replace(tokens=RUN.tokens * share), database=DB, budget_usd=1.0)
    assert less_work.best is not None


def test_a_framework_leaves_devices_out():
    assert {o.row.device.kind for o in asked(framework="torch").frontier} == {"gpu"}
    with pytest.raises(UsageError, match="framework 'keras' is unknown"):
        Wishes(framework="keras")


def test_spot_is_taken_where_it_is_allowed():
    assert all(o.row.offer.pricing == "on_demand" for o in asked().frontier)
    found = asked(spot=True)
    assert any(o.row.offer.pricing == "spot" for o in found.frontier)


def test_a_long_spot_job_without_checkpoints_is_refused():
    run = RUN.replace(overheads=Overheads(checkpoint_every_s=NEVER))
    found = advise(run, database=DB, spot=True, devices="slow,big")
    assert found.refused.startswith("not on spot machines: no checkpoints and") and found.refused in found.risks
    assert advise(RUN, database=DB, spot=True).refused == ""
    assert all(o.row.offer.pricing != "spot" or o.row.run_time_s < 86400 for o in found.frontier)
    spot = next(each for each in OFFERS if each.pricing == "spot")
    row = estimate(run.replace(tokens=1e14), "big", 1, spot, database=DB)
    assert row.why_not_kind == "interruptions" and "no checkpoints" in row.why_not and row.cost is None


def test_own_devices_cost_their_electricity():
    found = asked(own={"big": 1}, devices="big")
    own = next(o for o in found.frontier if o.row.offer.provider == "own")
    assert own.row.rental.usd_per_hour == pytest.approx(400 * 0.76 / 1000 * 0.161)
    assert own.row.count == 1


def test_more_devices_are_tried_where_none_is_in_time():
    hours = asked(devices="big", counts=(8,)).frontier[0].row.run_time_s
    found = asked(devices="big", deadline_s=hours / 2)
    assert found.best is None or found.best.row.count > 8


def test_nobody_offers_it():
    with pytest.raises(NoPrice, match="No offer of nobody"):
        asked(provider="nobody")


def test_emissions_by_hand():
    row = estimate(RUN, "slow", 1, OFFERS[4], database=DB)
    found = emissions(row)
    assert found.effectiveness == 1.1 and found.area == "gcp/europe-north1"
    assert found.co2_kg.mid == pytest.approx(row.energy_kwh * 1.1 * found.grams_per_kwh / 1000)
    unknown = emissions(estimate(RUN, "big", 1, OFFERS[0], database=DB))
    assert unknown.grams_per_kwh == WORLD_GRAMS_PER_KWH and unknown.assumed


def test_adapters_are_no_change_where_weights_are_frozen_already():
    full = profile_of("gpt2", "amp_bfloat16")
    tuned = replace(full, trainable_parameters=full.parameters // 100)
    runs = [TrainingRun(each, tokens=1e9) for each in (full, tuned)]
    changes = [{s.change for s in advise(run, devices="l4", counts=(1,), database=load()).savings} for run in runs]
    assert changes[0] - changes[1] == {"LoRA rank 16"}


def test_channels_last_is_a_change_of_networks_of_images_on_gpus():
    """The change told is what the whole run takes with it; on a TPU, whose compiler lays images out, it is none."""
    run = TrainingRun(profile_of("resnet50", "amp_bfloat16"), epochs=90, dataset_size=1_281_167)
    market = load()
    for name, told in (("a100-sxm-80gb", True), ("tpu-v5e", False)):
        found = advise(run, devices=name, counts=(1,), database=market)
        change = next((s for s in found.savings if "channels last" in s.change), None)
        assert (change is not None) == told
        row = found.best.row
        other = estimate(run.replace(channels_last=True), name, 1, row.offer, database=market)
        assert other.run_time_s - row.run_time_s == pytest.approx(change.seconds if change else 0.0)
    assert run.replace(channels_last=True).to_dict()["channels_last"]


def test_channels_last_is_not_proposed_where_grouped_convolutions_are():
    """ResNeXt's convolutions of 32 groups; depthwise ones, of as many groups as channels, are no such."""
    a100, plain = load().device("a100-sxm-80gb"), profile_of("resnet50", "amp_bfloat16")
    table = plain.table(8, None)
    large = table.family.mask("convolution") & (table.dims["kernel"] > 1)
    for width, proposed in ((4.0, False), (1.0, True)):
        dims = {**table.dims, "batch": np.where(large, 32.0, table.batch), "n": np.where(large, width, table.n)}
        work = Workload(TrainingRun(plain, steps=1))
        work._tables[8] = replace(table, dims=dims)
        assert work.may_be_channels_last(a100, 8) == proposed


def test_savings_are_differences_of_estimates():
    found = asked(devices="big", counts=(1,))
    compiled = next((s for s in found.savings if s.change == "torch.compile"), None)
    row = found.best.row
    other = estimate(RUN.replace(compiled=True), "big", 1, row.offer, database=DB)
    assert compiled is not None
    assert compiled.usd == pytest.approx(other.cost_usd - row.cost_usd)
    assert compiled.seconds == pytest.approx(other.run_time_s - row.run_time_s)


ranges = st.tuples(st.floats(0.1, 1e6), st.floats(1.01, 5), st.floats(1.01, 5)).map(
    lambda three: Range(three[0] / three[1], three[0], three[0] * three[2])
)


@given(ranges)
def test_a_range_holds_eighty_percent(spread):
    assert below(spread, spread.high) == pytest.approx(0.9)
    assert below(spread, spread.low) == pytest.approx(0.1)
    assert below(spread, spread.mid) == 0.5


@given(ranges, ranges)
def test_less_is_a_probability_and_complements(first, second):
    assert less(first, second) + less(second, first) == pytest.approx(1.0)


def test_less_against_a_simulation():
    chance = random.Random(1)
    first, second = Range(8, 10, 14), Range(9, 12, 13)

    def draw(spread):
        normal = chance.gauss(0, 1)
        width = math.log(spread.high / spread.mid) if normal > 0 else math.log(spread.mid / spread.low)
        return spread.mid * math.exp(normal * width / 1.2816)

    share = sum(draw(first) < draw(second) for _ in range(20_000)) / 20_000
    assert less(first, second) == pytest.approx(share, abs=0.01)


def tier(session=12.0, quota=None):
    return FreeTier("a service", "free", "t4", 1, "free", 0.0, session, quota, OFFERS[0].as_of, "docs", "a page", "")


def test_sessions_and_quotas_become_days():
    hour = 3600.0
    assert in_sessions(tier(), Range.exactly(5 * hour)).sessions == 1
    three = in_sessions(tier(), Range.exactly(30 * hour))
    assert (three.sessions, three.calendar_days) == (3, 3)
    weeks = in_sessions(tier(quota=30.0), Range.exactly(65 * hour))
    # 30 hours a week: two full weeks, and the rest on one more day.
    assert weeks.calendar_days == pytest.approx(14 + 1)
    assert "cannot finish" in in_sessions(tier(quota=30.0), Range.exactly(3000 * hour)).why_not


def test_sessions_that_are_cut_off_need_checkpoints():
    kept, lost = (advise(RUN.replace(overheads=each), database=DB).free for each in
                  (Overheads(), Overheads(checkpoint_every_s=NEVER)))  # fmt: skip
    several = {plan.tier.service for plan in kept if (plan.sessions or 1) > 1}
    refused = {plan.tier.service for plan in lost if plan.why_not.endswith("nothing is saved")}
    assert several and refused == several
    assert all(plan.sessions is None for plan in lost if plan.tier.service in refused and plan.why_not)


def test_candidates_are_priced_as_estimates_are():
    market = Market((Workload(RUN),), DB, Wishes(spot=True))
    found = market.candidates()
    for place, row in enumerate(found.places):
        exact = row.estimate()
        assert found.time_s[place, 1] == pytest.approx(exact.run_time_s)
        assert found.cost_usd[place].tolist() == pytest.approx([exact.cost.low, exact.cost.mid, exact.cost.high])


def run_cli(*words):
    return CliRunner().invoke(main, ["advise", *words])


@pytest.mark.parametrize("model", ["gpt2", "resnet50"])
def test_what_is_beaten_at_its_peak_is_not_worked_out_and_changes_no_answer(model, monkeypatch):
    database, wishes = load(), Wishes(devices="h100-*,a100-*,v100-*,t4,k80,tpu-v3", spot=True)
    run = TrainingRun(profile_of(model, "float32"), samples=1e8)
    short = Market((Workload(run),), database, wishes)
    found = short.candidates()
    monkeypatch.setattr(Beaten, "__call__", lambda self, way, least: False)
    full = Market((Workload(run),), database, wishes)
    everything = full.candidates()
    assert 0 < len(found) < len(everything) and short.outdone and not full.outdone
    kept = [candidates.time_s[candidates.frontier(), 1].tolist() for candidates in (found, everything)]
    assert kept[0] == kept[1]
    assert sum(len(way.shelf.offers) for way in short.outdone) + len(found) >= len(everything)


def test_no_prediction_is_below_the_least_that_it_can_take():
    market = Market((Workload(RUN),), DB, Wishes(spot=True))
    ways = [way for name in market._offers for count in (1, 2, 4, 8) for way in market._ways(name, count)]
    blocks = [(way.least, block) for way in ways for block in market._blocks(way)]
    assert len(blocks) > 8 and all((block.columns[:, 1::3] >= least).all() for least, block in blocks)


def test_the_command_answers_and_its_exit_codes_tell_how():
    good = run_cli("gpt2", "--tokens", "1B", "--hardware", "l4,h100-sxm", "--json")
    assert good.exit_code == 0, good.stderr
    document = json.loads(good.stdout)["results"][0]
    assert document["answered"] and document["recommendation"]["device"] in ("l4", "h100-sxm")
    assert document["sentence"].startswith("Rent") and document["frontier"]
    no = run_cli("gpt2", "--tokens", "1B", "--hardware", "l4", "--budget", "0.01")
    assert no.exit_code == 1 and "Nothing fits $0.01" in no.stdout
    assert run_cli("gpt2", "--budget", "10").exit_code == 2
    assert run_cli("gpt2", "--tokens", "1B", "--own", "l4=x").exit_code == 2


def test_a_small_network_needs_no_gpu():
    words = ["mnist-cnn", "--epochs", "1", "--dataset-size", "60000", "--batch-size", "128", "--hardware", "l4"]
    assert "You do not need a GPU for this" in run_cli(*words).stdout


def test_csv_is_the_frontier():
    lines = run_cli("gpt2", "--tokens", "1B", "--hardware", "l4", "--csv").stdout.splitlines()
    assert "cost_usd" in lines[0] and len(lines) > 1


def test_reserved_machines_are_taken_where_they_are_allowed_and_the_commitment_is_told():
    reserved = offer("big", 1, 0.5, pricing="reserved_1y", instance="big-year")
    market = database(DEVICES, [*OFFERS, reserved])
    assert all(o.row.offer.pricing == "on_demand" for o in advise(RUN, database=market).frontier)
    found = advise(RUN, database=market, reserved=True, devices="big", counts=(1,), budget_usd=1e6)
    assert found.best.row.offer == reserved and "reserved for 1 year" in found.sentence
    # 0.5 USD an hour for 8,760 hours.
    assert any("$4,380" in risk for risk in found.risks)
    change = next(s for s in advise(RUN, database=market, devices="big", counts=(1,)).savings if "reserved" in s.change)
    assert change.usd < 0 and "$4,380" in change.note


@pytest.mark.slow
def test_runs_of_adapters_are_advised_on():
    words = ["--tokens", "1B", "--hardware", "l4", "--count", "1", "--precision", "amp_bfloat16", "--json"]
    whole, adapters = (
        json.loads(run_cli(model, *words).stdout)["results"][0]["recommendation"] for model in ("gpt2", "gpt2,lora=8")
    )
    # Adapters spare the gradients of the weights, a third of the products, and the states of the optimizer.
    assert 0.5 * whole["run_time_s"] < adapters["run_time_s"] < whole["run_time_s"]
    assert adapters["memory"]["optimizer_state_bytes"] < 0.05 * whole["memory"]["optimizer_state_bytes"]
