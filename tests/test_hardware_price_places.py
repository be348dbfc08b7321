"""Prices by device and region: names of catalogues lead to devices, regions without a price are derived."""

from dataclasses import replace
from datetime import date

import pytest

from hardware_db import load
from hardware_db.errors import NoPrice, UnknownDevice
from hardware_db.price_catalog import LeftOut, read_catalog
from hardware_db.price_history import in_region, price_history, with_derived_prices
from tests.hardware_servers import catalog


@pytest.mark.parametrize(
    ("provider", "row", "device", "count", "cores"),
    [
        ("aws", "p4d.24xlarge,us-east-1,21.96,96,1152,8,A100,40,False,,nvidia,", "a100-sxm-40gb", 8, None),
        ("azure", "Standard_NC24ads_A100_v4,eastus,3.67,24,220,1,A100,80,False,,nvidia,", "a100-pcie-80gb", 1, None),
        ("azure", "Standard_ND96amsr_A100_v4,eastus,32.77,96,1800,8,A100,80,False,,nvidia,", "a100-sxm-80gb", 8, None),
        ("gcp", "v5litepod-8,us-west4,9.6,224,384,1,v5litepod,0,False,,google,", "tpu-v5e", 8, None),
        ("gcp", "v4-8,us-central2,12.88,240,400,1,v4,0,False,,google,", "tpu-v4", 4, None),
        ("aws", "c7a.4xlarge,us-east-1,0.82,16,32,0,,,False,,,", "epyc-9654", 1, 16),
        ("aws", "c6i.4xlarge,us-east-1,0.68,16,32,0,,,False,,,", "xeon-platinum-8375c", 1, 8),
        ("azure", "Standard_D16as_v5,eastus,0.69,16,64,0,,,False,,,", "epyc-7763", 1, 8),
        ("azure", "Standard_D16s_v5,eastus,0.77,16,64,0,,,False,,,", "xeon-platinum-8358", 1, 8),
    ],
)
def test_names_of_catalogues_find_the_right_device(
    provider: str, row: str, device: str, count: int, cores: float | None
) -> None:
    (found,) = read_catalog(provider, catalog([row]), date.today(), "test")
    assert not isinstance(found, LeftOut)
    assert (found.device, found.device_count, found.cores) == (device, count, cores)


def test_the_name_tables_lead_to_devices_that_exist() -> None:
    from hardware_db.tables import rows

    for name in ("price_names.csv", "cpu_families.csv"):
        for row in rows(name):
            assert row["device"] in load().devices_by_id, row


def test_a_device_without_any_price_says_so() -> None:
    with pytest.raises(NoPrice, match="No price of hailo-8"):
        price_history(load(), "hailo-8")
    with pytest.raises(UnknownDevice):
        price_history(load(), "h1000")


def test_a_price_in_another_region_is_published_or_derived() -> None:
    db = load()
    offers = db.offers("a100-sxm-40gb", provider="aws", region="us-east-1", pricing="on_demand")
    offer = next(known for known in offers if known.instance == "p4d.24xlarge")
    published = in_region(db, offer, "eu-west-1")
    assert published.basis != "derived" and published.region == "eu-west-1"
    derived = in_region(db, replace(offer, instance="p4d.999xlarge", usd_per_hour=100.0), "eu-west-1")
    assert derived.basis == "derived" and "median ratio of" in derived.note
    assert derived.usd_per_hour == pytest.approx(100 * published.usd_per_hour / offer.usd_per_hour, rel=0.02)
    with pytest.raises(NoPrice, match="No aws machine has a price in us-east-1 and in the-moon-1"):
        in_region(db, offer, "the-moon-1")


def test_machines_without_a_price_in_a_region_are_priced_there_on_request() -> None:
    db = load()
    more = with_derived_prices(db, "aws", "eu-west-1")
    published = {(offer.instance, offer.pricing) for offer in db.offers(provider="aws", region="eu-west-1")}
    added = [offer for offer in more.offers(provider="aws", region="eu-west-1") if offer.basis == "derived"]
    assert {(offer.instance, offer.pricing) for offer in added}.isdisjoint(published) and len(added) > 20
    assert all(offer.region == "eu-west-1" and "the median ratio of" in offer.note for offer in added)
    box = next(offer for offer in added if (offer.instance, offer.pricing) == ("p5.48xlarge", "on_demand"))
    assert 1.0 < box.usd_per_hour / 55.04 < 1.5
    assert db.offers(provider="aws", region="eu-west-1") == tuple(
        offer for offer in more.offers(provider="aws", region="eu-west-1") if offer.basis != "derived"
    )
    with pytest.raises(NoPrice, match=r"No aws machine has a price in the-moon-1\. Known: ap-"):
        with_derived_prices(db, "aws", "the-moon-1")
