"""Memory of the host and disk, by hand."""

import pytest
import torch

import hardware_db
from estimator.memory import MemorySettings, checkpoint_bytes, dataset_bytes, host_of
from hardware_db.errors import UsageError
from profiles import profile_model

SAMPLE = 64 * 4
WEIGHTS = 4 * (64 * 256 + 256 + 256 * 64 + 64)


@pytest.fixture(scope="module")
def step():
    model = torch.nn.Sequential(torch.nn.Linear(64, 256), torch.nn.ReLU(), torch.nn.Linear(256, 64))
    return profile_model(model, (torch.zeros(32, 64),), optimizer="adamw-fused")


def test_a_checkpoint_is_weights_and_states(step):
    """Two moments of each weight, and a count of steps for each of the four tensors."""
    assert checkpoint_bytes(step) == pytest.approx(3 * WEIGHTS, abs=4 * 8)
    assert checkpoint_bytes(step, MemorySettings(optimizer="sgd")) == WEIGHTS
    assert checkpoint_bytes(step, MemorySettings(optimizer="adamw-8bit")) < 2 * WEIGHTS


def test_a_real_checkpoint_is_as_large(step, tmp_path):
    model = torch.nn.Sequential(torch.nn.Linear(64, 256), torch.nn.ReLU(), torch.nn.Linear(256, 64))
    optimizer = torch.optim.AdamW(model.parameters())
    model(torch.zeros(32, 64)).sum().backward()
    optimizer.step()
    file = tmp_path / "checkpoint.pt"
    torch.save({"model": model.state_dict(), "optimizer": optimizer.state_dict()}, file)
    assert checkpoint_bytes(step) == pytest.approx(file.stat().st_size, rel=0.05)


def test_data_is_samples_as_the_model_reads_them(step):
    assert host_of(step).sample_bytes == SAMPLE
    assert dataset_bytes(step, 1e6) == 1e6 * SAMPLE
    with pytest.raises(UsageError, match="positive"):
        dataset_bytes(step, 0)


def test_what_is_offloaded_lies_on_the_host(step):
    assert host_of(step).offloaded_bytes == 0
    states = host_of(step, MemorySettings(offloaded=("optimizer",))).offloaded_bytes
    assert states == pytest.approx(4 * WEIGHTS, abs=4 * 8)
    halved = host_of(step, MemorySettings(offloaded=("optimizer",), zero_stage=1, replicas=2)).offloaded_bytes
    assert halved == states // 2


def test_workers_are_an_assumption_that_is_named(step):
    none, four = host_of(step, workers=0), host_of(step)
    assert none.loading.mid == 32 * SAMPLE
    assert four.loading.mid - none.loading.mid >= 4 * 2 * 32 * SAMPLE
    assert any("4 data loader workers" in each for each in four.assumptions)
    with pytest.raises(UsageError, match="workers"):
        host_of(step, workers=-1)


def test_a_process_with_a_card_holds_the_driver_too(step):
    database = hardware_db.load()
    card, chip = (host_of(step, device=database.device(name)).process for name in ("l4", "epyc-9654"))
    assert card.low > chip.high
    assert host_of(step).total.low < host_of(step).total.mid < host_of(step).total.high
