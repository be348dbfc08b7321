"""What is said when a model cannot be run: where, what it was given, what would work."""

import inspect
import logging

import pytest
import torch
from torch import nn

from hardware_db.errors import ModelError, UsageError
from profiles import profile_model


def refusal(model: nn.Module, *args: torch.Tensor) -> str:
    with pytest.raises(ModelError) as caught:
        profile_model(model, args)
    return str(caught.value)


def test_a_wrong_shape_names_module_input_and_what_it_takes():
    said = refusal(nn.Sequential(nn.Flatten(), nn.Linear(784, 10)), torch.rand(8, 512))
    assert said.startswith("The model failed in '1': ")
    assert "'1' takes 784 features; the model's input was float32[8, 512]. Give it another one (--input " in said


class Crooked(nn.Module):
    """The second layer does not take what the first gives."""

    def __init__(self):
        super().__init__()
        self.first, self.second = nn.Linear(16, 32), nn.Linear(30, 4)

    def forward(self, x):
        hidden = self.first(x)
        return self.second(hidden)


def test_shapes_that_do_not_fit_inside_are_found_at_their_line():
    line = inspect.getsourcelines(Crooked.forward)[1] + 2
    first, second = refusal(Crooked(), torch.rand(8, 16)).splitlines()
    assert "The model failed in 'second' at " in first and f"test_trace_failures.py:{line}: " in first
    assert "[8, 32]" in first and "[30, 4]" in first
    assert second.startswith("'second' takes 30 features; the model's input was float32[8, 16]. ")


def test_channels_of_a_convolution():
    assert "'0' takes 3 channels; the model's input was float32[2, 1, 8, 8]" in refusal(
        nn.Sequential(nn.Conv2d(3, 4, 3)), torch.rand(2, 1, 8, 8)
    )


def test_floats_for_an_embedding():
    said = refusal(nn.Sequential(nn.Embedding(10, 4)), torch.rand(8, 16))
    assert (
        said
        == "'0' is an embedding and needs integer ids; the model's input was float32[8, 16]. Use --input int64:8x16"
    )


def test_a_loss_that_is_no_scalar():
    with pytest.raises(ModelError, match=r"The loss is no scalar: .* loss\.mean\(\)"):
        profile_model(nn.Linear(4, 4), (torch.rand(2, 4),), step=lambda model, x: model(x))


def test_nothing_is_logged_and_the_log_is_as_before(caplog):
    log = logging.getLogger("torch._subclasses.fake_tensor")
    with caplog.at_level(logging.DEBUG):
        refusal(nn.Linear(8, 8), torch.rand(4, 9))
    assert not caplog.records and not log.disabled


def test_an_unknown_kind_of_device():
    with pytest.raises(UsageError, match=r"'rocket' is no kind of device .* cuda, cpu, tpu"):
        profile_model(nn.Linear(4, 4), (torch.rand(2, 4),), device="rocket")
