"""What is made once of an answer is made once for all who see it, and anew for another answer."""

from __future__ import annotations

import gc

import pytest

pytest.importorskip("streamlit")

from asked_pages import opened, table_of

from dashboard import table
from dashboard.once import MOST_KEPT, once
from estimator.estimates import Estimates


class Thing:
    """Equal to every other, as tables may be: only identity tells them apart."""

    def __eq__(self, other: object) -> bool:
        return True

    __hash__ = None  # type: ignore[assignment]


def test_an_object_is_looked_at_once_for_the_same_arguments():
    calls = []
    made = once(lambda value, *rest: calls.append((value, rest)) or len(calls))
    one, other = Thing(), Thing()
    assert [made(one), made(one), made(one, 2), made(other), made(one, 2)] == [1, 1, 2, 3, 2]
    assert len(calls) == 3


def test_an_object_is_not_mistaken_for_one_that_is_gone():
    made = once(lambda value: value[0])
    for number in range(3 * MOST_KEPT):
        assert made([number]) == number
        gc.collect(0)


def test_a_refusal_is_not_kept():
    answers = iter([ValueError("not yet"), "there"])

    def asked(_value):
        found = next(answers)
        if isinstance(found, ValueError):
            raise found
        return found

    made, thing = once(asked), Thing()
    with pytest.raises(ValueError, match="not yet"):
        made(thing)
    assert made(thing) == "there"


@pytest.mark.usefixtures("own_cache")
def test_a_page_drawn_again_makes_no_table_and_no_document(monkeypatch):
    page = opened(model="gpt2", amount="1B", hardware="t4,l4")
    before = table_of(page)

    def unasked(*_args):
        raise AssertionError("worked out again")

    monkeypatch.setattr(table, "_row", unasked)
    monkeypatch.setattr(Estimates, "to_frame", unasked)
    monkeypatch.setattr(Estimates, "to_dict", unasked)
    again = opened(model="gpt2", amount="1B", hardware="t4,l4")
    assert not again.exception
    assert table_of(again).equals(before)
