"""Steps of every optimizer that torch runs by name, against real ones: parameter by parameter, all at once, fused."""

import pytest
import torch

from estimator.memory import MemorySettings, memory_of
from profiles import profile_model
from profiles.measured_memory import measure_step_memory
from profiles.trace.optimizers import OPTIMIZERS

ALL_AT_ONCE = 64
"""Bytes by which a step over all parameters at once may differ: counts of steps that lie on the host."""

NAMES = [name for name in OPTIMIZERS if not name.endswith(("fused", "for-loop"))]
LOOPS = [name for name in OPTIMIZERS if name.endswith("for-loop")]
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


@pytest.mark.parametrize("name", LOOPS)
def test_a_loop_over_the_parameters_is_met_on_an_accelerator_too(name):
    real, predicted = both(name, "cuda")
    assert abs(predicted - real) <= ALL_AT_ONCE


class Lion(torch.optim.Optimizer):
    """The published algorithm, one parameter after the other (Chen et al., 2023, arXiv:2302.06675, algorithm 2)."""

    def __init__(self, parameters):
        super().__init__(parameters, {})

    @torch.no_grad()
    def step(self):
        for parameter in (each for group in self.param_groups for each in group["params"]):
            state = self.state[parameter]
            if not state:
                state["average"] = torch.zeros_like(parameter)
            signs = state["average"].mul(0.9).add_(parameter.grad, alpha=0.1).sign_()
            parameter.add_(signs, alpha=-1e-4)
            state["average"].mul_(0.99).add_(parameter.grad, alpha=0.01)


@pytest.mark.parametrize(("name", "kind"), [("lion", Lion), ("muon", torch.optim.Muon)])
def test_optimizers_that_are_not_traced_are_worked_out_to_the_byte(name, kind):
    """From a recording with AdamW; square matrices alone, which both treat like a matrix."""

    def squares():
        return torch.nn.Sequential(*[torch.nn.Linear(256, 256, bias=False) for _ in range(6)])

    inputs, model = (torch.randn(64, 256),), squares()
    step = profile_model(squares(), inputs, optimizer="adamw", device="cpu")
    real = measure_step_memory(model, inputs, {}, lambda outputs: outputs.mean(), kind(model.parameters()))
    assert memory_of(step, settings=MemorySettings(optimizer=name)).live_bytes == real.tensor_bytes


def test_muon_leaves_what_is_outside_of_layers_to_adamw():
    class Named(torch.nn.Module):
        def __init__(self):
            super().__init__()
            self.embedding, self.layers = torch.nn.Embedding(100, 32), torch.nn.ModuleList([torch.nn.Linear(32, 32)])

        def forward(self, x):
            return self.layers[0](self.embedding(x))

    step = profile_model(Named(), (torch.zeros(4, 8, dtype=torch.long),), optimizer="adamw", device="cpu")
    need = memory_of(step, settings=MemorySettings(optimizer="muon"))
    assert need.optimizer_state_bytes == 4 * (2 * 100 * 32 + 32 * 33)
