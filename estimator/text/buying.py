"""Buy or rent as text."""

from __future__ import annotations

from typing import TYPE_CHECKING

from estimator.energy import USUAL_SHARE
from estimator.text.notes import notes
from hardware_db.units import format_usd

if TYPE_CHECKING:
    from estimator.advice.buying import BuyOrRent, Purchase
    from estimator.text.page import Page


def buying_text(found: BuyOrRent, page: Page) -> str:
    """Return the comparison: a sentence, both prices of an hour, where they cross, and what it rests on."""
    bought, offer = found.purchase, found.offer
    own, rent = format_usd(found.own_usd_per_hour), format_usd(found.rent_usd_per_hour)
    verb, often = "Buy" if found.buy else "Rent", f"{bought.utilisation:.0%} of all hours"
    month = f"month {found.break_even_month:.0f}" if found.break_even_month else "not within its life"
    share = f"above {found.break_even_utilisation:.0%} of all hours" if found.break_even_utilisation else "never"
    lines = [
        ("Break-even", f"{month} at {often}; over its life {share}"),
        ("Price", f"{format_usd(found.price_usd)}, {found.price_source}"),
        ("Running", f"{format_usd(found.running_usd_per_hour)} an hour of electricity, cooling included"),
        ("Renting", f"{offer.provider} {offer.region}, {offer.pricing.replace('_', ' ')}, {offer.as_of}"),
        ("Assumed", _assumed(bought)),
    ]
    sentence = f"{verb} {found.device.id}: at {often}, owning costs {own} and renting {rent} an hour."
    return page.render(sentence, "", notes(lines))


def _assumed(bought: Purchase) -> str:
    return (
        f"kept {bought.life_years:g} years, sold for {bought.resale_share:.0%}; host {format_usd(bought.host_usd)}, "
        f"hosting {format_usd(bought.hosting_usd_per_month)} a month; power usage effectiveness "
        f"{bought.effectiveness:g}; {USUAL_SHARE.mid:.0%} of rated power; no interest, no repairs, no staff"
    )
