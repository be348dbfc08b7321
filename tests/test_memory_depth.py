"""More or fewer layers worked out from a recording, against a recording of the model with as many."""

import hand_made
import pytest
import torch

from estimator.fit import fit
from estimator.memory import MemorySettings, layers_of, memory_of
from hardware_db.errors import UsageError
from profiles import profile_model

WIDTH = 64


class Layer(torch.nn.Module):
    def __init__(self):
        super().__init__()
        self.up, self.down = torch.nn.Linear(WIDTH, 4 * WIDTH), torch.nn.Linear(4 * WIDTH, WIDTH)

    def forward(self, x):
        return x + self.down(self.up(x).relu())


class Stack(torch.nn.Module):
    def __init__(self, layers):
        super().__init__()
        self.layers = torch.nn.ModuleList(Layer() for _ in range(layers))

    def forward(self, x):
        for layer in self.layers:
            x = layer(x)
        return x


def recorded(layers):
    return profile_model(Stack(layers), (torch.randn(256, WIDTH),), optimizer="adamw")


@pytest.fixture(scope="module")
def six():
    return recorded(6)


@pytest.mark.parametrize("layers", [3, 12, 24])
@pytest.mark.parametrize("checkpointing", ["none", "full"])
def test_a_deeper_model_holds_what_its_own_recording_does(six, layers, checkpointing):
    asked = MemorySettings(checkpointing=checkpointing, more_layers=layers - 6)
    truth = memory_of(recorded(layers), settings=MemorySettings(checkpointing=checkpointing)).live_bytes
    assert memory_of(six, settings=asked).live_bytes == pytest.approx(truth, rel=0.05)


def test_the_deepest_that_fits_does_and_one_layer_more_does_not(six):
    small = hand_made.device(memory_bytes=10**9)
    most = fit(six, small, micro_batch_size=six.batch_size, settings=MemorySettings()).most_layers
    for layers, fits in ((most, True), (most + 1, False)):
        need = memory_of(six, device=small, settings=MemorySettings(more_layers=layers - 6))
        assert (need.total_bytes <= 10**9) is fits


def test_a_model_that_is_no_stack_has_no_depth():
    profile = profile_model(torch.nn.Linear(8, 8), (torch.randn(4, 8),))
    assert layers_of(profile) == 0 and fit(profile, hand_made.device()).most_layers is None
    with pytest.raises(UsageError, match="not one stack of layers"):
        memory_of(profile, settings=MemorySettings(more_layers=1))
