"""Steps of every optimizer that torch runs by name, against real ones: parameter by parameter, all at once, fused."""

import pytest
import torch

from profiles import profile_model
from profiles.measured_memory import measure_step_memory
from profiles.trace.optimizers import OPTIMIZERS

ALL_AT_ONCE = 64
"""Bytes by which a step over all parameters at once may differ: counts of steps that lie on the host."""

NAMES = [name for name in OPTIMIZERS if not name.endswith("fused")]
FUSED = [name for name in OPTIMIZERS if name.endswith("fused")]


def made():
    torch.manual_seed(0)
    layers = [torch.nn.Linear(64, 256), torch.nn.ReLU(), torch.nn.Linear(256, 512), torch.nn.ReLU()]
    return torch.nn.Sequential(*layers, torch.nn.Linear(512, 16)), (torch.randn(32, 64),)


def both(name, target, **how):
    """Bytes of a real step on this CPU, and of the predicted one."""
    model, inputs = made()
    kind, options = OPTIMIZERS[name]
    optimizer = getattr(torch.optim, kind)(model.parameters(), **{**options, **how})
    real = measure_step_memory(model, inputs, {}, lambda outputs: outputs.mean(), optimizer).tensor_bytes
    return real, profile_model(*made(), optimizer=name, device=target).peak_memory_bytes


@pytest.mark.parametrize("name", NAMES)
def test_one_parameter_after_the_other_is_met_to_the_byte(name):
    real, predicted = both(name, "cpu", foreach=False)
    assert predicted == real


@pytest.mark.parametrize("name", NAMES)
def test_all_parameters_at_once_are_met(name):
    real, predicted = both(name, "cuda", foreach=True)
    assert abs(predicted - real) <= ALL_AT_ONCE


@pytest.mark.parametrize("name", FUSED)
def test_fused_steps_are_met_to_the_byte(name):
    real, predicted = both(name, "cuda")
    assert predicted == real
