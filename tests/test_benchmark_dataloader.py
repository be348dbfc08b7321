"""Timing a data loader: samples of any kind of batch, by a clock that the test turns."""

import numpy as np
import pytest
from click.testing import CliRunner

from estimator.cli import main
from hardware_db.errors import ModelError
from profiles.benchmark.dataloader import samples_of, time_loader


class Clock:
    def __init__(self):
        self.now = 0.0

    def __call__(self):
        return self.now


def loader_of(clock, seconds, batches=10, size=32):
    def one():
        for _ in range(batches):
            clock.now += seconds
            yield np.zeros((size, 3)), np.zeros(size)

    class Again:
        def __iter__(self):
            return one()

    return Again


@pytest.mark.parametrize("batches", [1, 10, 1000])
def test_the_rate_is_samples_over_time(batches):
    clock = Clock()
    found = time_loader(loader_of(clock, 0.5, batches), seconds=20, clock=clock)
    assert found.samples_per_s == pytest.approx(64) and found.batch_size == 32
    assert found.first_batch_s == 0.5 and found.seconds == pytest.approx(20)


def test_a_slow_first_batch_is_not_in_the_rate():
    clock = Clock()

    def slow_start():
        clock.now += 100
        yield np.zeros(8)
        while True:
            clock.now += 1
            yield np.zeros(8)

    found = time_loader(slow_start, seconds=5, clock=clock)
    assert found.first_batch_s == 101 - 1 and found.samples_per_s == pytest.approx(8)


@pytest.mark.parametrize(
    ("batch", "samples"),
    [
        (np.zeros((4, 2)), 4),
        ({"input_ids": np.zeros((5, 7)), "labels": np.zeros(5)}, 5),
        ([{"x": np.zeros((6, 1))}, np.zeros(6)], 6),
        (["a text", "another", "third"], 3),
    ],
)
def test_samples_of_every_kind_of_batch(batch, samples):
    assert samples_of(batch) == samples


@pytest.mark.parametrize(("make", "said"), [
    (lambda: 3, "is a int; expected an iterable"),
    (lambda: [], "brought no batch"),
    (lambda: iter([np.zeros(2)]), "run through only once"),
    (lambda: [object()], "a object without arrays"),
])  # fmt: skip
def test_what_is_no_loader_is_refused(make, said):
    with pytest.raises(ModelError, match=said):
        time_loader(make, seconds=0.01)


def test_the_command_prints_the_option_for_estimate(tmp_path):
    (tmp_path / "data.py").write_text("def loader():\n    import numpy\n    return [numpy.zeros((16, 4))] * 50\n")
    words = ["benchmark", "--dataloader", f"{tmp_path}/data.py:loader", "--seconds", "1"]
    result = CliRunner().invoke(main, words)
    assert result.exit_code == 0, result.stderr
    assert "batches of 16" in result.stdout and "--data-rate" in result.stdout
