"""What a link may say, and what is wrong with one that says something else.

Widgets take their values from the URL and drop what they cannot take in silence, so links are read before them.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from difflib import get_close_matches
from typing import Final

from dashboard.against import AGAINST
from dashboard.palette import KINDS
from dashboard.run_state import AMOUNTS, PRECISIONS
from estimator.validation.accuracy import SCHEMES

PRICINGS: Final = ("on-demand", "spot", "reserved-1y", "reserved-3y", "free")
"""Ways to pay, spelt as the command line spells them."""
OPTIMIZERS: Final = ("adamw", "adam", "sgd", "sgd-momentum", "nadam", "radam", "adamax", "adagrad", "rmsprop")
"""Optimizers that are offered; the first is the default."""
FRAMEWORKS: Final = ("torch", "jax")
QUANTITIES: Final = {"flops": "FLOPs", "bytes": "bytes moved", "activations": "activation bytes"}
"""What the Model page breaks down, and how it is called."""
MOST: Final = 10_000_000
"""Largest batch, sequence length or side of an image that the number boxes take."""
Check = Callable[[str], str]
"""From a value to what it should have been, "" where it is fine."""


def one_of(values: Sequence[str]) -> Check:
    """Return the check of a choice; a near miss is named first."""

    def check(text: str) -> str:
        if text in values:
            return ""
        near = get_close_matches(text, values, n=2) or list(values[:6])
        return f"not known here; known: {', '.join(near)}" + (" and others" if len(values) > len(near) else "")

    return check


def whole(text: str) -> str:
    """Check a size: a whole number from 1."""
    fine = text.isascii() and text.isdecimal() and len(text) < 9 and 1 <= int(text) <= MOST
    return "" if fine else f"no whole number from 1 to {MOST:,}"


def anything(_text: str) -> str:
    """Free text, and choices that only an answer knows: where it is drawn, the page says what is wrong with it."""
    return ""


def checks(models: Sequence[str], devices: Sequence[str]) -> Mapping[str, Check]:
    """Return every parameter of a link with its check; where a page shows a name for a value, the link has the name."""
    kinds = [style.label for style in KINDS.values()]
    sizes = dict.fromkeys(("batch", "sequence", "image", "micro"), whole)
    return {
        "model": one_of(models),
        "work": one_of(AMOUNTS),
        "amount": anything,
        **sizes,
        "precision": one_of(PRECISIONS),
        "optimizer": one_of(OPTIMIZERS),
        "mfu": anything,
        "pricing": one_of(PRICINGS),
        "hardware": anything,
        "count": anything,
        "provider": anything,
        "region": anything,
        "all_offers": one_of(("true", "false")),
        "kinds": one_of(kinds),
        "device_kinds": one_of(kinds),
        "budget": anything,
        "deadline": anything,
        "device": one_of(devices),
        "vendor": anything,
        "framework": one_of(FRAMEWORKS),
        "spot": one_of(("true", "false")),
        "against": one_of([each.cheapest for each in AGAINST.values()]),
        "of": one_of(tuple(QUANTITIES.values())),
        "scale": anything,
        "unseen": one_of(tuple(SCHEMES.values())),
        "strata": anything,
        "step_on": anything,
        "cards": anything,
        "split_over": anything,
        "write": anything,
        "claim": anything,
        "embed": anything,
        "embed_options": anything,
    }


@dataclass(frozen=True, slots=True)
class Complaint:
    """What is wrong with one part of a link, and what is used instead."""

    name: str
    text: str


def complaints(query: Iterable[tuple[str, str]], allowed: Mapping[str, Check]) -> list[Complaint]:
    """Say what is wrong with a link.

    Examples
    --------
    >>> complaints([("batch", "abc")], {"batch": whole})[0].text
    "This link asks for batch 'abc': no whole number from 1 to 10,000,000. The default is used."
    >>> complaints([("bach", "8")], {"batch": whole})[0].text
    "This link has a part 'bach' that means nothing here and is ignored. Did you mean batch?"
    """
    said = []
    for name, value in query:
        if name not in allowed:
            near = get_close_matches(name, allowed, n=1)
            remedy = f"Did you mean {near[0]}?" if near else f"Known: {', '.join(allowed)}."
            text = f"This link has a part '{name[:60]}' that means nothing here and is ignored. {remedy}"
            said.append(Complaint(name, text))
        elif wrong := allowed[name](value):
            text = f"This link asks for {name} '{value[:60]}': {wrong.rstrip('.')}. The default is used."
            said.append(Complaint(name, text))
    return said
