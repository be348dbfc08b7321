"""Exact polynomials: found where the traces prove them, refused where they do not."""

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hardware_db.errors import UsageError
from profiles.growth import SizePolynomials, integers
from profiles.growth_fit import BASES, BATCH_RUNS, SEQUENCE_RUNS, SINGLE_SEQUENCE_RUNS, SizeDependent, fit

LINEAR_IN_BATCH = [basis for basis in BASES if len(basis) < len(SEQUENCE_RUNS) and all(i < 2 for i, *_ in basis)]
IN_LENGTH_ALONE = [
    basis for basis in BASES if len(basis) < len(SINGLE_SEQUENCE_RUNS) and all(i == 0 for i, *_ in basis)
]
SQUARE_RUNS = tuple((batch, length) for batch in (2, 3, 4, 5) for length in (65, 100, 163, 234, 301, 375, 128))


def value(law, batch, length):
    sizes = (batch, length, *(-(-length // multiple) * multiple for multiple in (32, 8, 16)))
    return sum(c * math.prod(map(pow, sizes, monomial)) for monomial, c in law.items())


def laws(bases, least=0):
    """A basis with whole coefficients."""
    coefficients = st.integers(least, 10**15)
    return st.sampled_from(bases).flatmap(
        lambda basis: st.tuples(*[coefficients] * len(basis)).map(lambda cs: dict(zip(basis, cs, strict=True)))
    )


@given(law=laws(LINEAR_IN_BATCH), batch=st.integers(1, 10**6), length=st.integers(1, 10**6))
def test_every_law_linear_in_the_batch_is_found_from_the_sequence_runs(law, batch, length):
    found = fit([tuple(value(law, *run) for run in SEQUENCE_RUNS)], SEQUENCE_RUNS)
    assert found.at(batch, length).tolist() == [value(law, batch, length)]


@given(law=laws(IN_LENGTH_ALONE), length=st.integers(1, 10**6))
def test_every_law_in_the_length_alone_is_found_from_the_runs_at_batch_size_one(law, length):
    found = fit([tuple(value(law, *run) for run in SINGLE_SEQUENCE_RUNS)], SINGLE_SEQUENCE_RUNS)
    assert found.at(1, length).tolist() == [value(law, 1, length)]


@given(law=laws(BASES), batch=st.integers(1, 10**6), length=st.integers(1, 10**6))
def test_every_law_is_found_from_a_full_grid(law, batch, length):
    found = fit([tuple(value(law, *run) for run in SQUARE_RUNS)], SQUARE_RUNS)
    assert found.at(batch, length).tolist() == [value(law, batch, length)]


def test_a_model_without_sequences_needs_three_batch_sizes():
    runs = [(batch, 1) for batch in BATCH_RUNS]
    found = fit([tuple(7 + 5 * batch for batch, _ in runs), (4, 4, 4)], runs)
    assert found.at(1000, None).tolist() == [5007, 4]


@pytest.mark.parametrize(
    "wrong",
    [
        pytest.param(lambda b, s: 2**s, id="exponential"),
        pytest.param(lambda b, s: b * s**3, id="cubic"),
        pytest.param(lambda b, s: b * b * s, id="quadratic in the batch, which 3 batch sizes cannot prove"),
        pytest.param(lambda b, s: b * min(s, 100), id="sliding window"),
        pytest.param(lambda b, s: b * (s // 2), id="rounded down"),
        pytest.param(lambda b, s: b * (-(-s // 64) * 64), id="padded to 64"),
        pytest.param(lambda b, s: 7 * b * s + (b == 5), id="one unit off at one size"),
    ],
)
def test_what_follows_no_law_is_refused_with_the_values_seen(wrong):
    vector = tuple(wrong(*run) for run in SEQUENCE_RUNS)
    with pytest.raises(SizeDependent, match=f"{vector[0]:,} at 2 × 96, {vector[1]:,} at 3 × 65"):
        fit([vector], SEQUENCE_RUNS)


def test_a_slope_is_no_law_where_the_sizes_could_not_have_refuted_it():
    two_lengths = [(2, 64), (3, 64), (5, 64), (2, 128), (3, 128), (5, 128)]
    with pytest.raises(SizeDependent):
        fit([tuple(length for _, length in two_lengths)], two_lengths)
    assert fit([tuple(batch for batch, _ in two_lengths)], two_lengths).at(9, 64).tolist() == [9]


def test_as_many_runs_as_coefficients_prove_nothing():
    with pytest.raises(SizeDependent):
        fit([(10, 15)], [(2, 1), (3, 1)])


def test_one_run_makes_everything_constant():
    assert fit([(10,), (7,)], [(2, 64)]).at(2, 64).tolist() == [10, 7]


def test_half_a_length_is_exact_where_it_is_whole_and_refused_where_it_is_not():
    even = [(2, 64), (3, 64), (2, 96), (3, 128), (5, 160), (2, 192)]
    found = fit([tuple(batch * length // 2 for batch, length in even)], even)
    assert found.at(3, 100).tolist() == [150]
    with pytest.raises(UsageError, match="not exact at this size"):
        found.at(3, 101)


def test_sizes_below_zero_are_refused():
    found = fit([tuple(batch * (length - 50) for batch, length in SEQUENCE_RUNS)], SEQUENCE_RUNS)
    assert found.at(2, 51).tolist() == [2]
    with pytest.raises(UsageError, match="cannot run at batch 2 × 49"):
        found.at(2, 49)


@given(
    coefficients=st.lists(st.tuples(*[st.integers(0, 10**24)] * 3), min_size=1, max_size=5),
    batch=st.integers(1, 10**9),
    length=st.integers(1, 10**9),
)
def test_no_number_overflows(coefficients, batch, length):
    sizes = SizePolynomials(((0, 0, 0), (1, 1, 0), (1, 2, 0)), tuple(coefficients), (1,) * len(coefficients))
    expected = [a + b * batch * length + c * batch * length**2 for a, b, c in coefficients]
    assert sizes.at(batch, length).tolist() == expected


def test_integers_are_64_bit_only_where_they_fit():
    assert integers([2**62 - 1]).dtype == "int64"
    assert integers([2**62]).dtype == object
    assert integers([]).dtype == "int64"


@given(st.lists(st.tuples(st.integers(-50, 50), st.integers(-50, 50)), max_size=20), st.integers(1, 12))
def test_reduced_and_distinct_change_no_value(rows, denominator):
    monomials = ((0, 0, 0), (1, 0, 0))
    numerators = [(a * denominator, b * denominator) for a, b in rows]
    table = SizePolynomials.reduced(monomials, numerators, denominator)
    small, where = table.distinct()
    assert list(table.coefficients) == rows
    assert set(table.denominators) <= {1}
    assert [small.coefficients[at] for at in where] == rows
    assert len(set(small.coefficients)) == len(small.coefficients)
