"""What a device holds of divided parameters and gradients, against real steps of FSDP2 whose collectives do nothing."""

import gc
import math
import weakref

import pytest
import torch
import torch.distributed as dist
from torch import nn
from torch.utils._python_dispatch import TorchDispatchMode

from estimator.memory import MemorySettings, memory_of
from hardware_db.errors import UsageError
from profiles import profile_model

fsdp = pytest.importorskip("torch.distributed.fsdp")
fake = pytest.importorskip("torch.testing._internal.distributed.fake_pg")


class Block(nn.Module):
    def __init__(self, width):
        super().__init__()
        self.norm, self.up, self.down = nn.LayerNorm(width), nn.Linear(width, 4 * width), nn.Linear(4 * width, width)

    def forward(self, x):
        return x + self.down(nn.functional.gelu(self.up(self.norm(x))))


class Net(nn.Module):
    def __init__(self, layers, width, outer):
        super().__init__()
        self.first, self.head = nn.Linear(outer, width), nn.Linear(width, outer)
        self.layers = nn.ModuleList(Block(width) for _ in range(layers))

    def forward(self, x):
        x = self.first(x)
        for layer in self.layers:
            x = layer(x)
        return self.head(x)


def own(tensor):
    return tensor.to_local() if hasattr(tensor, "to_local") else tensor


class Resized(TorchDispatchMode):
    """Keeps the largest sum of the bytes of living storages; FSDP2 empties and refills the same ones."""

    def __init__(self, known):
        super().__init__()
        self.living, self.peak = {}, 0
        self.note(known)

    def note(self, tensors):
        for tensor in tensors:
            storage = own(tensor).untyped_storage()
            self.living.setdefault(storage._cdata, weakref.ref(storage))

    def __torch_dispatch__(self, func, types, args=(), kwargs=None):
        out = func(*args, **(kwargs or {}))
        self.note(leaf for leaf in torch.utils._pytree.tree_leaves((args, kwargs, out)) if torch.is_tensor(leaf))
        storages = {key: storage for key, there in self.living.items() if (storage := there()) is not None}
        self.living = {key: self.living[key] for key in storages}
        self.peak = max(self.peak, sum(storage.nbytes() for storage in storages.values()))
        return out


@pytest.fixture
def group():
    def start(*devices):
        dist.init_process_group("fake", rank=0, world_size=math.prod(devices), store=fake.FakeStore())
        return dist.device_mesh.init_device_mesh("cpu", devices, mesh_dim_names=("copies", "shards")[-len(devices) :])

    yield start
    dist.destroy_process_group()


def real_peak(model, inputs, mesh, **how):
    for layer in model.layers:
        fsdp.fully_shard(layer, mesh=mesh, **how)
    fsdp.fully_shard(model, mesh=mesh, **how)
    optimizer = torch.optim.AdamW(model.parameters(), foreach=False)

    def step():
        outputs = model(inputs)  # they live through the step, as in a training loop
        outputs.mean().backward()
        optimizer.step()
        optimizer.zero_grad(set_to_none=True)

    step()
    gc.collect()
    states = [own(t) for state in optimizer.state.values() for t in state.values() if torch.is_tensor(t)]
    gc.disable()
    try:
        with Resized([*map(own, model.parameters()), inputs, *states]) as seen:
            step()
    finally:
        gc.enable()
    return seen.peak


@pytest.mark.parametrize(
    "devices, layers, width, outer, rows",
    [(4, 6, 256, 64, 8), (64, 6, 256, 64, 8), (64, 6, 256, 2048, 8), (8, 6, 256, 1024, 512)],
    ids=["few devices", "many devices", "much outside of layers", "many activations"],
)
def test_a_step_of_fsdp_holds_what_is_predicted(group, devices, layers, width, outer, rows):
    inputs = torch.randn(rows, outer)
    profile = profile_model(Net(layers, width, outer), inputs, optimizer="adamw", device="cpu")
    found = memory_of(profile, settings=MemorySettings(replicas=devices, zero_stage=3))
    assert found.live_bytes == pytest.approx(real_peak(Net(layers, width, outer), inputs, group(devices)), rel=0.03)


@pytest.mark.parametrize("outer, rows", [(64, 8), (2048, 8), (64, 512)], ids=["layers", "outside", "activations"])
def test_parameters_that_are_gathered_once_are_freed_on_the_way_back(group, outer, rows):
    inputs = torch.randn(rows, outer)
    profile = profile_model(Net(6, 256, outer), inputs, optimizer="adamw", device="cpu")
    found = memory_of(profile, settings=MemorySettings(replicas=64, zero_stage=2, gathers_once=True))
    real = real_peak(Net(6, 256, outer), inputs, group(64), reshard_after_forward=False)
    assert found.live_bytes == pytest.approx(real, rel=0.01)


def test_hybrid_sharding_divides_within_a_group_only(group):
    inputs = torch.randn(8, 64)
    profile = profile_model(Net(6, 256, 64), inputs, optimizer="adamw", device="cpu")
    found = memory_of(profile, settings=MemorySettings(replicas=32, zero_stage=3, shard_group=4))
    assert found.live_bytes == pytest.approx(real_peak(Net(6, 256, 64), inputs, group(8, 4)), rel=0.03)


def test_what_cannot_be_divided_is_refused():
    with pytest.raises(UsageError, match="must divide the 8 replicas"):
        MemorySettings(replicas=8, zero_stage=3, shard_group=3)
    with pytest.raises(UsageError, match="ZeRO 2"):
        MemorySettings(replicas=8, zero_stage=3, gathers_once=True)
