"""Failures, interruptions and terms of providers: what they say and how it follows from the sources."""

from datetime import date

import pytest

from hardware_db import load
from hardware_db.operation import TERMS, provider_term, provider_terms, reliabilities, reliability
from hardware_db.price_age import old_prices


def test_the_published_run_gives_its_own_rate() -> None:
    """Llama 3: 419 unplanned stops in 54 days of 16,384 GPUs, one in three hours."""
    record = reliability("h100-sxm")
    assert record is not None
    assert record.hours_between(16384) == pytest.approx(54 * 24 / 419)
    assert record.device_hours_between == pytest.approx(50_677, rel=1e-4)
    assert record.hours_between(8) == pytest.approx(2048 * record.hours_between(16384))
    assert reliability("tpu-v2") is None


def test_the_record_with_the_most_device_hours_speaks_for_a_device() -> None:
    record = reliability("a100-sxm-80gb")
    assert record is not None and record.cluster == "Meta RSC-1"
    assert record.hours_between(16384) == pytest.approx(1.8, abs=0.05)


def test_records_are_possible_and_sourced() -> None:
    db = load()
    for record in reliabilities():
        assert record.device in db.devices_by_id
        assert 1e3 < record.device_hours_between < 1e6, record
        assert record.as_of <= date.today() and set(record.sources) <= db.sources.keys()
    for term in provider_terms():
        assert 0 <= term.low <= term.high and term.as_of <= date.today()
        assert set(term.sources) <= db.sources.keys()
        assert ("unverified" in term.sources) == (term.basis == "estimate"), term
    keys = [(term.provider, term.term, term.machines) for term in provider_terms()]
    assert len(set(keys)) == len(keys)
    assert {term.provider for term in provider_terms()} <= {offer.provider for offer in db.all_offers}


def test_a_term_holds_for_the_machines_it_names() -> None:
    interrupted = provider_term("aws", "spot_interrupted", "p5.48xlarge")
    assert interrupted is not None and (interrupted.low, interrupted.high) == (0.15, 0.2)
    assert provider_term("aws", "spot_interrupted", "g5.xlarge") is None
    billing = provider_term("aws", "billing_minimum", "p5.48xlarge")
    assert billing is not None and billing.low == billing.high == 60
    assert provider_term("nobody", "egress") is None
    free = provider_term("lambda", "egress")
    assert free is not None and free.low == free.high == 0
    assert {term.term for term in provider_terms()} == set(TERMS)


def test_old_prices_are_counted_and_fresh_ones_are_silent() -> None:
    offers = load().offers("h100-sxm", provider="aws", pricing="on_demand")
    newest = max(offer.as_of for offer in offers)
    assert old_prices([offer for offer in offers if offer.as_of == newest], newest) == ()
    (said,) = old_prices(offers, date(2027, 1, 31))
    assert said.startswith(f"{len(offers)} of {len(offers)} prices are older than 30 days, the oldest ")
    (alone,) = old_prices([offers[0]], date(2099, 1, 1))
    assert alone.startswith(f"The price is {(date(2099, 1, 1) - offers[0].as_of).days} days old. ")
    assert old_prices([]) == ()
