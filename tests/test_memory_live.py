"""The bytes that a profile counts against those of a real training step on this machine, tensor by tensor."""

import pytest
import torch
from live_storages import real_peak

from estimator.memory import memory_of
from profiles import profile_model


def perceptron():
    layers = [torch.nn.Linear(64, 256), torch.nn.ReLU(), torch.nn.Linear(256, 256), torch.nn.GELU()]
    return torch.nn.Sequential(*layers, torch.nn.Linear(256, 10)), (torch.randn(512, 64),)


def normalised():
    block = [torch.nn.Linear(128, 128), torch.nn.LayerNorm(128), torch.nn.SiLU()]
    return torch.nn.Sequential(*block, *block, torch.nn.Linear(128, 8)), (torch.randn(256, 128),)


def embedded():
    return torch.nn.Sequential(torch.nn.Embedding(1000, 64), torch.nn.Linear(64, 1000)), (
        torch.randint(0, 1000, (8, 32)),
    )


def frozen():
    model, inputs = perceptron()
    for parameter in model[0].parameters():
        parameter.requires_grad_(False)
    return model, inputs


OPTIMIZERS = {"sgd": {"lr": 0.01}, "adamw": {}}
CLASSES = {"sgd": torch.optim.SGD, "adamw": torch.optim.AdamW}


@pytest.mark.parametrize("optimizer", OPTIMIZERS)
@pytest.mark.parametrize("make", [perceptron, normalised, embedded, frozen])
def test_the_peak_of_a_real_step_is_met_to_the_byte(make, optimizer):
    model, inputs = make()
    trained = [parameter for parameter in model.parameters() if parameter.requires_grad]
    real = real_peak(model, inputs, CLASSES[optimizer](trained, foreach=False, **OPTIMIZERS[optimizer]))
    assert profile_model(model, inputs, optimizer=optimizer, device="cpu").peak_memory_bytes == real


def recurrent(kind, **options):
    class All(torch.nn.Module):
        def __init__(self):
            super().__init__()
            self.cells = kind(12, 16, **options)

        def forward(self, x):
            return self.cells(x)[0]

    return All(), (torch.randn(6, 4, 12),)


FORMS = [{}, {"bidirectional": True}, {"num_layers": 2, "dropout": 0.1}, {"batch_first": True}, {"bias": False}]


@pytest.mark.parametrize("options", FORMS, ids=str)
@pytest.mark.parametrize("kind", [torch.nn.GRU, torch.nn.LSTM, torch.nn.RNN])
def test_recurrent_layers_of_any_form_are_met_to_the_byte(kind, options):
    model, inputs = recurrent(kind, **options)
    real = real_peak(model, inputs, torch.optim.AdamW(model.parameters(), foreach=False))
    assert profile_model(model, inputs, optimizer="adamw", device="cpu").peak_memory_bytes == real


class Checkpointed(torch.nn.Module):
    """Torch ends the repetition of a layer early, by an error inside of it, when it has all that it needs."""

    def __init__(self):
        super().__init__()
        layers = [torch.nn.Linear(16, 64), torch.nn.ReLU(), torch.nn.Linear(64, 16), torch.nn.LayerNorm(16)]
        self.layers = torch.nn.ModuleList(torch.nn.Sequential(*layers) for _ in range(3))

    def forward(self, x):
        for layer in self.layers:
            x = torch.utils.checkpoint.checkpoint(layer, x, use_reentrant=False)
        return x


def test_a_checkpointed_step_is_met_to_the_byte():
    model, inputs = Checkpointed(), (torch.randn(256, 16),)
    real = real_peak(model, inputs, torch.optim.AdamW(model.parameters(), foreach=False))
    assert profile_model(model, inputs, optimizer="adamw", device="cpu").peak_memory_bytes == real


class Looked(torch.nn.Module):
    """A table whose gradient is sparse: as many rows as were looked up, copied once before they are added."""

    def __init__(self, table):
        super().__init__()
        self.table, self.head = table, torch.nn.Linear(16, 3)

    def forward(self, x):
        found = self.table(x)
        return self.head(found.mean(1) if found.dim() == 3 else found)


TABLES = {
    "embedding": lambda: torch.nn.Embedding(1000, 16, sparse=True),
    "bag": lambda: torch.nn.EmbeddingBag(1000, 16, mode="sum", sparse=True),
}


@pytest.mark.parametrize("table", TABLES)
def test_sparse_gradients_are_met_to_the_byte(table):
    model, inputs = Looked(TABLES[table]()), (torch.randint(0, 1000, (32, 10)),)
    real = real_peak(model, inputs, torch.optim.SGD(model.parameters(), foreach=False, lr=0.1))
    found = profile_model(model, inputs, optimizer="sgd", device="cpu")
    assert found.peak_memory_bytes == memory_of(found).live_bytes == real
    assert found.rung == "meta"


class PartlyUsed(torch.nn.Module):
    def __init__(self):
        super().__init__()
        self.used, self.unused = torch.nn.Linear(64, 64), torch.nn.Linear(512, 512)

    def forward(self, x):
        return self.used(x)


@pytest.mark.parametrize("optimizer", OPTIMIZERS)
def test_weights_without_gradients_hold_none_when_the_step_is_predicted(optimizer):
    found = profile_model(PartlyUsed(), (torch.randn(64, 64),), optimizer=optimizer, device="cpu")
    assert memory_of(found).live_bytes == found.peak_memory_bytes
