"""The order of two devices: by samples a second, of one job, on two devices."""

from estimator.validation.accuracy import LeftOutCase
from estimator.validation.cases import Case
from estimator.validation.order import job_of, right_order


def case(device: str, measured_s: float, predicted_s: float, samples: int = 8, job: str = "a") -> LeftOutCase:
    return LeftOutCase("device", "x", "lambda-bert", "sibling", measured_s, predicted_s, device, job, samples)


def test_devices_are_compared_by_samples_a_second():
    """The larger card takes twice the batch in 1.5 times the step: it is faster, though its step is longer."""
    small, large = case("small", 1.0, 1.0), case("large", 1.5, 1.6, samples=16)
    assert right_order([small, large]) == (1, 1)
    assert right_order([small, case("large", 1.5, 2.1, samples=16)]) == (0, 1)


def test_only_two_devices_of_one_job_are_a_pair():
    first = case("t4", 1.0, 1.0)
    for other in (
        case("t4", 2.0, 2.0),
        case("l4", 2.0, 2.0, job="b"),
        case("l4", 2.0, 2.0, samples=0),
        case("l4", 1.0, 9.0),
    ):
        assert right_order([first, other]) == (0, 0)


def test_a_prediction_that_tells_no_difference_is_not_right():
    assert right_order([case("t4", 1.0, 1.0), case("l4", 2.0, 1.0)]) == (0, 1)


def test_jobs_differ_in_what_runs_and_not_in_the_device_or_batch():
    one = Case(
        case_id="1", stratum="s", model="resnet50", task="train", device="t4", precision="float32", micro_batch_size=8
    )
    assert job_of(one) == job_of(one.model_copy(update={"device": "l4", "micro_batch_size": 64, "case_id": "2"}))
    changes = ({"model": "resnet18"}, {"precision": "tf32"}, {"sequence_length": 128}, {"stratum": "other"})
    assert len({job_of(one.model_copy(update=each)) for each in changes} | {job_of(one)}) == 5
