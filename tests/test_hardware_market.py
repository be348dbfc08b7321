"""Free tiers, purchase prices, electricity and emissions: every figure dated and sourced, unknown stays unknown."""

from datetime import date

import pytest

from hardware_db import load
from hardware_db.energy import (
    area_of,
    around,
    carbon_intensity,
    electricity_price,
    energy_figures,
    power_usage_effectiveness,
)
from hardware_db.market import free_tiers, purchase_price, purchase_prices
from hardware_db.tables import rows


def test_free_tiers_have_their_limits() -> None:
    kaggle = next(t for t in free_tiers() if t.service == "kaggle" and t.device == "t4")
    assert (kaggle.device_count, kaggle.session_limit_h, kaggle.weekly_quota_h) == (2, 12, 30)
    assert kaggle.sessions_for(13 * 3600) == 2 and kaggle.sessions_for(60) == 1
    assert kaggle.weeks_for(60 * 3600) == 2
    for tier in free_tiers():
        assert tier.device in load().devices_by_id
        assert (tier.usd_per_hour == 0) == (tier.pricing == "free")
        assert tier.source and tier.as_of <= date.today()
    assert {"google-colab", "kaggle"} == {tier.service for tier in free_tiers()}


def test_a_tier_without_a_quota_says_none() -> None:
    colab = next(t for t in free_tiers() if t.service == "google-colab" and t.plan == "free")
    assert colab.weeks_for(3600) is None


def test_purchase_prices_are_per_what_is_sold() -> None:
    assert len(purchase_prices()) >= 60
    kit = next(p for p in purchase_prices() if p.device == "gaudi-3" and p.sold_as == "kit")
    assert (kit.usd, kit.devices, kit.usd_per_device) == (125000, 8, 15625)
    for price in purchase_prices():
        assert price.device in load().devices_by_id and price.devices >= 1
        assert 50 < price.usd_per_device < 100_000 and price.source and price.as_of <= date.today()
        assert (price.price_type == "estimate") <= (price.basis == "estimate")


def test_the_newest_purchase_price_counts() -> None:
    price = purchase_price("rtx-4090")
    assert price is not None and (price.price_type, price.as_of) == ("street", date(2025, 8, 21))
    assert purchase_price("tpu-v5e") is None


def test_energy_figures_are_plausible_and_sourced() -> None:
    sources = load().sources
    limits = {"electricity_price": (0.02, 0.5), "carbon_intensity": (1, 1000), "power_usage_effectiveness": (1.0, 2.0)}
    for figure in energy_figures():
        low, high = limits[figure.quantity]
        assert low <= figure.value <= high, figure
        assert figure.sources and set(figure.sources) <= sources.keys() and figure.as_of <= date.today()


def test_a_region_has_the_figure_of_the_area_around_it() -> None:
    assert list(around("aws/eu-central-1")) == ["aws/eu-central-1", "DE", "europe", "world"]
    germany = carbon_intensity("aws/eu-central-1")
    assert germany is not None and (germany.area, germany.value) == ("DE", 380.95)
    virginia = electricity_price("aws/us-east-1")
    assert virginia is not None and (virginia.area, virginia.value) == ("US-VA", 0.0892)
    own = carbon_intensity("gcp/europe-north1")
    assert own is not None and (own.area, own.value) == ("gcp/europe-north1", 46)


@pytest.mark.parametrize("area", ["atlantis", "", "aws/moon-1"])
def test_an_unknown_area_has_no_figure(area: str) -> None:
    assert electricity_price(area) is None and carbon_intensity(area) is None
    assert list(around(area)) == []


def test_power_usage_effectiveness_is_published_or_unknown() -> None:
    aws = power_usage_effectiveness("aws")
    assert aws is not None and aws.value == 1.15
    assert power_usage_effectiveness("nebius") is None


def test_every_region_that_has_a_price_has_an_area() -> None:
    regions = {(o.provider, o.region) for o in load().offers() if o.provider in ("aws", "azure", "gcp")}
    assert {pair for pair in regions if area_of(*pair) is None} == set()
    assert area_of("runpod", "global") is None


def test_areas_lead_to_the_world() -> None:
    providers = {offer.provider for offer in load().offers()}
    for row in rows("areas.csv"):
        assert row["area"] in providers or list(around(row["area"]))[-1] == "world"
