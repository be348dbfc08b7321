"""Machines, dollars, watts, odds and interruptions in literal figures, each worked out from its definition."""

import math
from datetime import date
from statistics import median_high
from types import SimpleNamespace

import pytest
from hand_made import PARAMETERS, WIDTH, database, device, offer, profile

from estimator import TrainingRun, estimate
from estimator.advice.buying import Purchase, buy_or_rent
from estimator.advice.carbon import emissions
from estimator.advice.chance import below, in_time, less
from estimator.answer import Cluster
from estimator.cost import default_counts, fabric_of, rent
from estimator.energy import USUAL_SHARE, energy_kwh, mean_power_w, share_bound_by
from estimator.parallel.network import Network
from estimator.pricing import alike, preference
from estimator.ranges import ZERO, Range
from estimator.whole_run import best_interval_s, expected_s
from estimator.whole_run.bill import bill_of, billed_s
from estimator.whole_run.interruptions import Hazard, failures_of, preemptions_of, together
from estimator.whole_run.price_spread import price_spread
from estimator.whole_run.run_time import Part, RunTime, _State
from hardware_db.errors import UsageError
from hardware_db.operation import reliabilities

NEW = date.today()
"""A price of today is sure."""


def ends(found):
    return [found.low, found.mid, found.high]


# Ranges


def test_ranges_add_and_multiply_end_by_end():
    assert Range(1, 2, 4) + Range(10, 20, 40) == Range(11, 22, 44)
    assert Range(1, 2, 4) * 3 == Range(3, 6, 12)
    assert Range(1, 2, 4).times(Range(2, 3, 5)) == Range(2, 6, 20)
    assert Range(1, 5, 6).or_longer(Range(2, 3, 7)) == Range(2, 5, 7)
    assert Range(0, 0, 0) == ZERO


def test_independent_factors_add_as_squares_of_logarithms():
    # Down by 2 and 2: 2 to the square root of 1 + 1; up by 2 and 4: to that of 1 + 4.
    found = Range(50, 100, 200).times_independent(Range(0.25, 0.5, 2))
    assert ends(found) == pytest.approx([50 * 2 ** -(2**0.5), 50, 50 * 2 ** (5**0.5)])
    small = Range(0.25, 0.5, 1).times_independent(Range(0.5, 1, 2))
    assert Range(50, math.inf, math.inf).times_independent(Range(0.5, 2, 4)) == Range(100, math.inf, math.inf)
    assert ends(small) == pytest.approx([0.5 * 2 ** -(2**0.5), 0.5, 0.5 * 2 ** (2**0.5)])


# Machines


def test_whole_machines_are_rented():
    rental = rent(offer("big", 8, 16.0), 20)
    assert (rental.instances, rental.idle_devices, rental.usd_per_hour) == (3, 4, 48.0)


def test_counts_to_compare_share_the_batch_and_stop_at_eight():
    assert default_counts([], 256) == (1,)
    assert default_counts([offer(count=1), offer(count=4)], 256) == (1, 4)
    assert default_counts([offer(count=1), offer(count=3)], 256) == (1,)
    assert default_counts([offer(count=8), offer(count=9)], 72) == (8,)


def test_a_machine_with_fewer_devices_than_the_vendors_has_no_known_network():
    alone = device(devices_per_host=None)
    assert fabric_of(alone, offer(count=1), None).outer_bytes_per_s == 25e9
    assert fabric_of(device(), offer(count=4), None).outer_bytes_per_s is None
    assert fabric_of(device(), offer(count=8), None).outer_bytes_per_s == 25e9


def test_one_device_is_alike_wherever_it_stands():
    big = device()
    found = alike(Cluster(big, 1, Network("box", 8, 300e9, 25e9, "switch", 8), True), database([big], []))
    assert (found.fabric.joined, found.fabric.nodes_of, found.fabric.inner_bytes_per_s) == (1, 1, None)
    # Two dies are two replicas: more than a link that joins nothing.
    dies = Cluster(device(logical_devices=2), 1, Network("box", 1, 300e9, 25e9, "switch", 8), True)
    assert alike(dies, database([big], [])) is dies


def test_rows_are_ordered_by_answer_price_and_time():
    nothing = SimpleNamespace(why_not=None, rental=None, cost=None, run_time_s=None)
    assert preference(nothing) == (False, 0.0, 0.0)
    refused = SimpleNamespace(why_not="memory", rental=SimpleNamespace(usd_per_hour=7.0), cost=None, run_time_s=None)
    assert preference(refused) == (True, 7.0, 0.0)
    answered = SimpleNamespace(why_not=None, rental=None, cost=Range(1, 2, 3), run_time_s=5.0)
    assert preference(answered) == (False, 2, 5.0)


def test_an_estimate_by_hand():
    """Ten products of 1,024 x 1,024 and a relu a token, forward and twice that backward, on 2 of 400 TFLOP/s."""
    run = TrainingRun(profile(), tokens=1e9, sequence_length=1024, global_batch_size=256, overheads=None)
    row = estimate(run, "big", 2, database=database([device()], [offer("big", 2, 5.0, as_of=NEW)]))
    tokens = 256 * 1024
    flops = tokens * (6 * PARAMETERS + 10 * WIDTH)
    assert row.mfu == row.hfu == pytest.approx(flops / (row.step_time_s * 2 * 400e12))
    assert row.run_time_s == pytest.approx(row.step_time_s * 3815)  # 1e9 / 262,144, rounded up
    assert row.device_hours == pytest.approx(row.run_time_s * 2 / 3600)
    assert row.cost_usd == pytest.approx(row.run_time_s * 5.0 / 3600)
    assert row.energy.mid == pytest.approx(row.power.mid * 2 * row.run_time_s / 3.6e6)


def test_the_bill_of_two_machines():
    found = bill_of(rent(offer("big", 1, 2.0, as_of=NEW), 2), Range(1800, 3600, 7200), None)
    assert ends(found.total) == pytest.approx([2, 4, 8])


def test_a_day_of_a_lifetime_moves_a_price_by_the_square_root_of_its_share_of_a_year():
    old = price_spread(offer(as_of=date(2026, 1, 1)), date(2026, 4, 11))  # 100 days
    assert ends(old) == pytest.approx([0.77 ** (100 / 365) ** 0.5, 1, 1.3 ** (100 / 365) ** 0.5])
    assert ends(price_spread(offer(as_of=date(2026, 4, 11)), date(2026, 1, 1))) == [1, 1, 1]


def test_clocks_of_providers():
    assert billed_s(offer(provider="lambda"), 60.5) == 120
    assert billed_s(offer(provider="aws"), 61) == 61
    assert billed_s(offer(provider="nobody"), 0.5) == 0.5


# Watts


@pytest.mark.parametrize(
    ("bound", "above_idle"),
    [
        ("compute", (0.65, 0.80, 1.00)),
        ("memory", (0.40, 0.64, 0.90)),
        ("launch", (0.10, 0.32, 0.70)),
        ("network", (0.10, 0.32, 0.70)),
        ("waiting", (0.10, 0.32, 0.70)),
        ("data", (0.00, 0.10, 0.32)),
    ],
)
def test_power_above_what_an_idle_device_draws(bound, above_idle):
    idle = (0.07, 0.12, 0.37)
    by_hand = [share + (1 - share) * above for share, above in zip(idle, above_idle, strict=True)]
    assert ends(share_bound_by(bound)) == pytest.approx(by_hand)
    assert ends(mean_power_w(device(tdp_w=500.0), {bound: 3.0})) == pytest.approx([500 * each for each in by_hand])


def test_eight_devices_of_500_watts_for_two_hours_are_8_kwh():
    found = energy_kwh(Range(400, 500, 600), 8, Range(3600, 7200, 7200))
    assert ends(found) == pytest.approx([3.2, 8.0, 9.6])
    assert ends(USUAL_SHARE) == [0.40, 0.76, 1.00]


# Buying


DB = database([device("big")], [offer("big", 1, 2.0)])


def test_an_hour_with_what_is_usually_assumed():
    """Four years, a fifth of the price back, half of the hours; 400 W x 0.76, 1.56 around it, 10 cents a kWh."""
    found = buy_or_rent(DB.device("big"), DB, Purchase(usd=30_000.0, usd_per_kwh=0.10))
    assert found.running_usd_per_hour == pytest.approx(0.4 * 0.76 * 1.56 * 0.10)
    assert found.own_usd_per_hour == pytest.approx(0.4 * 0.76 * 1.56 * 0.10 + 24_000 / 48 / 365)


def bought(**changes):
    """A saved hour is 2 USD less 0.304 kW at 25 cents: 1.924 USD."""
    fields = {"usd": 9600.0, "host_usd": 2400.0, "hosting_usd_per_month": 73.0, "life_years": 4, "resale_share": 0.5,
              "utilisation": 0.5, "effectiveness": 1.0, "usd_per_kwh": 0.25}  # fmt: skip
    return buy_or_rent(DB.device("big"), DB, Purchase(**(fields | changes)))


def test_host_and_hosting_by_hand():
    found = bought()
    # 4,800 lost and 2,400 of host over 48 months, and 73 a month: 223 over 365 hours.
    assert found.own_usd_per_hour == pytest.approx(0.076 + 223 / 365)
    # Of 12,000 USD, 1.924 x 365 - 73 = 629.26 come back a month: 19.07 months.
    assert found.break_even_month == 20
    assert found.break_even_utilisation == pytest.approx(223 / (1.924 * 730))


def test_nothing_breaks_even_beyond_all_hours_or_its_life():
    assert bought(usd=202_000.0).break_even_utilisation is None  # 1.5 of all hours
    assert bought(usd_per_kwh=1.5 / 0.304).break_even_utilisation == pytest.approx(223 / (0.5 * 730))
    # 0.50 USD come back a month, of 10: 20 months.
    assert bought(usd=10.0, host_usd=0.0, hosting_usd_per_month=1.924 * 365 - 0.501).break_even_month == 20


@pytest.mark.parametrize("wrong", [{"utilisation": 0.0}, {"utilisation": 1.5}, {"resale_share": 1.0},
                                   {"resale_share": -0.5}, {"life_years": 0}, {"effectiveness": 0}])  # fmt: skip
def test_impossible_purchases_are_refused(wrong):
    with pytest.raises(UsageError):
        Purchase(**wrong)
    assert Purchase(life_years=0.5, resale_share=0.0).life_months == 6


def test_emissions_where_nothing_is_published_are_those_of_the_world():
    own = emissions(SimpleNamespace(energy=Range(50, 100, 200), offer=None))
    assert ends(own.co2_kg) == pytest.approx([23.65, 47.3, 94.6])
    rented = emissions(SimpleNamespace(energy=Range.exactly(100), offer=offer(provider="nobody", region="mars")))
    assert rented.co2_kg.mid == pytest.approx(100 * 1.56 * 0.473)


# Odds


@pytest.mark.parametrize(
    ("spread", "limit", "chance"),
    [
        (Range(50, 100, 400), 400, 0.9),
        (Range(50, 100, 400), 50, 0.1),
        # Half of the way in logarithms is half of 1.2816 standard deviations.
        (Range(50, 100, 400), 200, 0.73917),
        (Range(50, 100, 400), 100 / 2**0.5, 0.26083),
        (Range(0.4, 0.5, 0.6), 0.5, 0.5),
        (Range(0.25, 0.5, 1), 0.25, 0.1),
        (Range(0.4, 0.5, 0.6), 0.0, 0.0),
        (Range(50, 100, 400), math.inf, 1.0),
        (Range(50, math.inf, math.inf), 1e9, 0.0),
        (Range.exactly(100), 99, 0.0),
        (Range.exactly(100), 100, 1.0),
        (Range.exactly(100), 101, 1.0),
        (Range(0, 100, 200), 1, 0.5),
        (Range(0, 100, math.inf), 101, 0.5),
    ],
)
def test_how_likely_a_limit_holds(spread, limit, chance):
    assert below(spread, limit) == pytest.approx(chance, abs=1e-5)


def test_how_likely_one_is_below_the_other():
    # One factor of 1.25 apart, each 1.25 wide: 1.2816 / sqrt(2) standard deviations.
    assert less(Range(80, 100, 125), Range(100, 125, 156.25)) == pytest.approx(0.8176, abs=2e-3)
    # Nothing below the middle, up by a factor of 4: the other half is as if 100 were sure.
    assert less(Range.exactly(100.0), Range(50, 99.9, 400)) == pytest.approx(0.5, abs=5e-3)
    assert less(Range(80, 100, 125), Range(1e3, 2e3, 4e3)) == pytest.approx(1.0, abs=1e-3)
    # Below a sure 200: a third of the way up to 800; below 71: half of the way down to 50.
    assert less(Range(50, 100, 800), Range.exactly(200)) == pytest.approx(0.6654, abs=3e-3)
    assert less(Range(50, 100, 800), Range.exactly(100 / 2**0.5)) == pytest.approx(0.2608, abs=3e-3)
    assert less(Range(0.25, 0.5, 1), Range.exactly(0.25)) == pytest.approx(0.1, abs=3e-3)


def run_time(stops, lost):
    def told():
        return ""

    parts = (("training", 1000.0), ("interruptions", lost))
    return RunTime(tuple(Part(name, Range.exactly(s), told, told, "") for name, s in parts), stops=Range.exactly(stops))


@pytest.mark.parametrize(
    ("stops", "lost", "deadline", "chance"),
    [
        # Poisson: of two stops that take 50 s each, none, at most one, at most two.
        (2, 100, 1000, math.exp(-2)),
        (2, 100, 1099, math.exp(-2) * 3),
        (2, 100, 1100, math.exp(-2) * 5),
        (2, 100, 1150, math.exp(-2) * (5 + 8 / 6)),
        (0.5, 100, 1100, math.exp(-0.5)),
        (2, 100, 999, 0.0),
        (2, 100, 1e9, 1.0),
        (0, 0, 1000, 1.0),
        (100, 100, 1e9, 1.0),
        # So many that their number is sure.
        (1e4, 100, 1099, 0.0),
        (1e4, 100, 1100, 1.0),
    ],
)
def test_how_likely_a_run_that_is_stopped_at_random_ends_in_time(stops, lost, deadline, chance):
    assert in_time(run_time(stops, lost), deadline) == pytest.approx(chance, abs=1e-6)


# Interruptions


def test_dalys_interval_by_hand():
    """Equation 37 for 60 s and a day: sqrt(2 d M) = 3,220 s, d / 2 M = 1 / 2,880."""
    by_hand = math.sqrt(10_368_000) * (1 + math.sqrt(1 / 2880) / 3 + 1 / 2880 / 9) - 60
    assert best_interval_s(60, 86_400) == pytest.approx(by_hand) == pytest.approx(3180.05, abs=0.2)
    assert best_interval_s(200, 100) == 100 and best_interval_s(60, math.inf) == math.inf
    # d = 1.5 M, where it still holds: sqrt(3) M (1 + sqrt(0.75) / 3 + 0.75 / 9) - 1.5 M
    assert best_interval_s(150, 100) == pytest.approx(100 * (3**0.5 * (1 + 0.75**0.5 / 3 + 0.75 / 9) - 1.5))


def test_dalys_expectation_by_hand():
    """Equation 20: M exp(R / M) (exp((t + d) / M) - 1) W / t."""
    by_hand = 1000 * math.exp(0.1) * (math.exp(0.5) - 1) * 10
    assert expected_s(4000, 400, 100, 100, 1000) == pytest.approx(by_hand) == pytest.approx(7169.5, abs=0.1)
    assert expected_s(4000, 400, 100, 100, math.inf) == 5000
    assert expected_s(100, 400, 100, 0, math.inf) == 200  # saved once, at the end


def test_rates_of_stops_add():
    hazards = [Hazard("failures", Range(50, 100, 200), ""), Hazard("preemptions", Range(150, 300, math.inf), "")]
    assert ends(together(hazards)) == pytest.approx([37.5, 75, 200])
    assert together([Hazard("failures", Range.exactly(math.inf), "")]).mid == math.inf
    twice_a_day = preemptions_of(offer("big", pricing="spot"), 3, 2.0)
    assert twice_a_day.seconds_between.mid == pytest.approx(14_400)


def test_a_device_without_a_record_fails_as_often_as_the_median_of_those_that_have_one():
    hours = [record.device_hours_between for record in reliabilities()]
    found = failures_of(device("big"), 8)
    by_hand = [each * 3600 / 8 for each in (min(hours), median_high(hours), max(hours))]
    assert ends(found.seconds_between) == pytest.approx(by_hand)


def test_spot_machines_of_a_published_share():
    """A fifth to three tenths a month or the like: the middle is the geometric mean of both rates."""
    found = preemptions_of(offer("big", pricing="spot", provider="aws", instance="p5.48xlarge"), 1).seconds_between
    assert found.mid == pytest.approx((found.low * found.high) ** 0.5)


@pytest.mark.parametrize(("count", "machines"), [(8, 1), (9, 2)])
def test_machines_of_a_device_that_nobody_describes_have_eight(count, machines):
    split = SimpleNamespace(zero_stage=1, data_parallel=count)
    found = SimpleNamespace(device=device(devices_per_host=None), count=count, step=SimpleNamespace(split=split))
    assert _State(None, None, found, None).writers == machines
