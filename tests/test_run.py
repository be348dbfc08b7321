"""TrainingRun: amounts, sizes and the messages for the likeliest slips."""

import pytest
from hand_made import profile, raw_trace
from hypothesis import given
from hypothesis import strategies as st

from estimator import TrainingRun
from hardware_db.errors import FlopcastError, QuantityError, UsageError
from profiles.trace_record import fold

PROFILE = profile()


@pytest.mark.parametrize(
    ("amount", "steps"),
    [
        ({"tokens": 1e9, "sequence_length": 1024}, 3815),  # 1e9 / (256 x 1024) = 3814.7
        ({"samples": 256_000}, 1000),
        ({"samples": 256_001}, 1001),
        ({"epochs": 3, "dataset_size": 25_600}, 300),
        ({"epochs": 0.5, "dataset_size": 25_600}, 50),
        ({"steps": 7}, 7),
    ],
)
def test_steps_of_an_amount(amount, steps):
    assert TrainingRun(PROFILE, **amount).total_steps == steps


@given(tokens=st.integers(10**5, 10**14), batch=st.integers(1, 4096), length=st.sampled_from([16, 128, 1024]))
def test_steps_cover_the_work_and_no_more(tokens, batch, length):
    run = TrainingRun(PROFILE, tokens=tokens, global_batch_size=batch, sequence_length=length)
    assert (run.total_steps - 1) * batch * length < tokens <= run.total_steps * batch * length * (1 + 1e-12)


def test_defaults_come_from_the_profile():
    run = TrainingRun(PROFILE, steps=1)
    assert (run.global_batch_size, run.sequence_length, run.precision, run.optimizer) == (256, 16, "bfloat16", "adamw")
    assert run.total_tokens == 256 * 16


def test_default_batch_of_a_profile_for_one_size_only_is_a_multiple_for_eight_devices():
    fixed = profile(trace=fold(raw_trace(3, 16)))
    batch = TrainingRun(fixed, steps=1).global_batch_size
    assert batch == 264 and batch % (8 * 3) == 0


def test_replace_swaps_the_amount():
    run = TrainingRun(PROFILE, epochs=2, dataset_size=512)
    assert run.replace(tokens=1e9).epochs is None
    assert run.replace(tokens=1e9).tokens == 1e9
    assert run.replace(global_batch_size=8).total_steps == 128


def test_precision_aliases_are_one_precision():
    assert TrainingRun(PROFILE, steps=1, precision="bf16").precision == "bfloat16"


@pytest.mark.parametrize(
    ("amount", "message"),
    [
        ({}, "Give exactly one of tokens, samples, epochs (with dataset size) and steps; none is given."),
        ({"tokens": 1e9, "steps": 5}, "given: tokens, steps"),
        ({"epochs": 3}, "dataset size"),
        ({"steps": 3, "dataset_size": 100}, "give both or neither"),
        ({"tokens": 10}, "tokens 10 is less than one sequence of 16 tokens. Did you mean 10B?"),
        ({"steps": 1, "mfu": 45}, "mfu 45 is above 1. Did you mean 0.45?"),
        ({"steps": 1, "mfu": 0}, "mfu must be above 0"),
        ({"steps": 0}, "steps must be a positive whole number; given: 0"),
        ({"steps": 1.5}, "steps must be a positive whole number; given: 1.5"),
        ({"samples": -3}, "samples must be a positive number; given: -3"),
        ({"samples": float("inf")}, "samples must be a positive number"),
        ({"samples": float("nan")}, "samples must be a positive number"),
        ({"steps": 1, "global_batch_size": 0}, "global_batch_size must be a positive whole number; given: 0"),
        ({"steps": 1, "micro_batch_size": -1}, "micro_batch_size must be"),
        ({"steps": 1, "optimizer": "sgd"}, "recorded with optimizer adamw; the run asks for sgd"),
        ({"steps": 1, "precision": "float32"}, 'profile_model(..., precision="float32")'),
    ],
)
def test_mistakes_name_what_was_given_and_what_would_work(amount, message):
    with pytest.raises(UsageError) as caught:
        TrainingRun(PROFILE, **amount)
    assert message in str(caught.value)
    assert str(caught.value).count("\n") <= 2


def test_unknown_precision():
    with pytest.raises(QuantityError, match="is no precision"):
        TrainingRun(PROFILE, steps=1, precision="bf61")


def test_a_forward_profile_cannot_be_trained():
    with pytest.raises(FlopcastError, match='mode="train"'):
        TrainingRun(profile(mode="forward", optimizer=None), steps=1)


def test_tokens_need_a_sequence():
    points = [raw_trace(batch, 1) for batch in (2, 3, 4)]
    for point in points:
        point.sequence_length = None
    from profiles.trace_record import fit_growth

    images = profile(trace=fit_growth(points))
    with pytest.raises(UsageError, match="no sequence of tokens; give samples, epochs or steps"):
        TrainingRun(images, tokens=1e9)
    assert TrainingRun(images, samples=512).total_tokens is None


def test_to_dict_is_in_base_units():
    document = TrainingRun(PROFILE, tokens=1e9, sequence_length=1024).to_dict()
    assert document["tokens"] == 1e9 and document["total_steps"] == 3815 and document["model"] == "ten-layers"
