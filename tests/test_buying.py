"""Buy or rent: both sides by hand, and where they cross."""

import json

import pytest
from click.testing import CliRunner
from hand_made import database, device, offer

from estimator.advice.buying import Purchase, buy_or_rent
from estimator.cli import main
from hardware_db.errors import DataError, NoPrice, UsageError

DB = database([device("big"), device("alone")], [offer("big", 8, 16.0), offer("big", 1, 3.0)])
CALL = Purchase(usd=9600.0, life_years=4, resale_share=0.5, utilisation=0.5, effectiveness=1.0, usd_per_kwh=0.25)


def test_an_hour_by_hand():
    found = buy_or_rent(DB.device("big"), DB, CALL)
    # 400 W x 0.76 = 0.304 kW at 0.25 USD; half of 9,600 USD over 48 months of 365 hours.
    assert found.running_usd_per_hour == pytest.approx(0.304 * 0.25)
    assert found.own_usd_per_hour == pytest.approx(0.304 * 0.25 + 4800 / (48 * 730 * 0.5))
    assert found.rent_usd_per_hour == 2.0 and found.buy


def test_the_break_even_month_and_utilisation_are_where_both_are_equal():
    found = buy_or_rent(DB.device("big"), DB, CALL)
    saved = 2.0 - found.running_usd_per_hour
    month = found.break_even_month
    assert (month - 1) * 365 * saved < 9600 <= month * 365 * saved
    share = found.break_even_utilisation
    at = buy_or_rent(DB.device("big"), DB, Purchase(**{name: getattr(CALL, name) for name in CALL.__slots__} |
                                                   {"utilisation": share}))  # fmt: skip
    assert at.own_usd_per_hour == pytest.approx(at.rent_usd_per_hour)


def test_dear_devices_never_pay():
    found = buy_or_rent(DB.device("big"), DB, Purchase(usd=1e6, usd_per_kwh=0.25))
    assert found.break_even_month is None and found.break_even_utilisation is None and not found.buy
    costly = buy_or_rent(DB.device("big"), DB, Purchase(usd=100, usd_per_kwh=100.0))
    assert costly.break_even_month is None


def test_what_is_unknown_is_said():
    with pytest.raises(DataError, match="Give your quote"):
        buy_or_rent(DB.device("big"), DB, Purchase())
    with pytest.raises(NoPrice, match="Nobody rents out alone"):
        buy_or_rent(DB.device("alone"), DB, CALL)
    with pytest.raises(UsageError, match="utilisation"):
        Purchase(utilisation=1.5)


def test_the_command():
    result = CliRunner().invoke(main, ["buy", "h100-sxm", "--utilisation", "0.9", "--json"])
    assert result.exit_code in (0, 1), result.stderr
    row = json.loads(result.stdout)["results"][0]
    assert (row["own_usd_per_hour"] < row["rent_usd_per_hour"]) == (result.exit_code == 0) == row["buy"]
