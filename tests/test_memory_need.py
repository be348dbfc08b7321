"""What a device must hold: constants with sources, optimizers, sharding, adapters, the verdict."""

import math
from dataclasses import replace

import pytest
import torch
from hand_made import PARAMETERS, device, profile

from estimator.memory import MemorySettings, memory_of, optimizer, optimizers, overhead_of, parameter, parameter_table
from estimator.ranges import Range
from hardware_db.errors import DataError, UsageError
from profiles import profile_model

WEIGHTS = (("h.[0-9]", PARAMETERS),)


@pytest.fixture(scope="module")
def step():
    return profile(module_parameters=WEIGHTS).at(8, 16)


@pytest.mark.parametrize("row", parameter_table().values(), ids=lambda row: f"{row.scope}-{row.name}")
def test_constants_are_ordered_and_sourced(row):
    assert 0 <= row.value.low <= row.value.mid <= row.value.high
    assert row.basis in ("documented", "measured", "estimate") and len(row.source) > 10


def test_an_architecture_has_its_own_constant_and_others_that_of_the_vendor():
    hopper, ampere = (overhead_of(device(architecture=name)) for name in ("Hopper", "Ampere GA100"))
    assert hopper.workspace_bytes.mid == 32 * 1024**2
    assert ampere.workspace_bytes.mid == 2 * 4096 * 1024 + 8 * 16 * 1024
    assert overhead_of(device(kind="cpu", vendor="AMD")).communicator_bytes.mid >= 0
    with pytest.raises(DataError, match="no 'moonlight'"):
        parameter("moonlight", ("NVIDIA",))


@pytest.mark.parametrize("stage, divided", [(0, ""), (1, "o"), (2, "og"), (3, "ogp")])
def test_zero_divides_what_its_stage_says(step, stage, divided):
    alone = memory_of(step)
    found = memory_of(step, settings=MemorySettings(replicas=4, zero_stage=stage))
    unit = 2 * PARAMETERS // 10
    in_backward = PARAMETERS // 4 + 2 * unit  # half of the gradients are there; two layers' are whole
    assert found.optimizer_state_bytes == alone.optimizer_state_bytes // (4 if "o" in divided else 1)
    assert found.gradient_bytes == (in_backward if "g" in divided else alone.gradient_bytes)
    assert found.parameter_bytes == alone.parameter_bytes // (4 if "p" in divided else 1)
    assert found.gathered_bytes == (2 * unit if "p" in divided else 0)
    assert found.bucket_bytes == (0 if stage > 1 else 2 * PARAMETERS)


def test_one_device_has_nothing_to_divide(step):
    assert memory_of(step, settings=MemorySettings(zero_stage=3)).total == memory_of(step).total


def test_states_on_the_host_leave_the_device(step):
    alone, found = memory_of(step), memory_of(step, settings=MemorySettings(offloaded=("optimizer",)))
    assert found.optimizer_state_bytes == 0 and found.host_bytes == alone.optimizer_state_bytes
    paged = memory_of(step, settings=MemorySettings(optimizer="adamw-8bit-paged"))
    assert paged.optimizer_state_bytes == 0 and paged.host_bytes == round(2.03125 * PARAMETERS)


def test_an_optimizer_of_bytes():
    found = memory_of(profile().at(8, 16), settings=MemorySettings(optimizer="adamw-8bit"))
    assert found.optimizer_state_bytes == PARAMETERS * (2 + 2 * 4 / 256)


def test_gradients_that_are_used_at_once_are_not_kept(step):
    assert memory_of(step, settings=MemorySettings(optimizer_in_backward=True)).gradient_bytes == 0
    with pytest.raises(UsageError, match="cannot add up gradients"):
        MemorySettings(optimizer_in_backward=True, accumulates=True)


@pytest.mark.parametrize(
    "fields", [{"checkpointing": "some"}, {"zero_stage": 4}, {"replicas": 0}, {"weight_bits": 4.0}, {"lora_rank": 0}]
)
def test_settings_that_contradict_are_refused(fields):
    with pytest.raises(UsageError):
        MemorySettings(**fields)


def test_an_unknown_optimizer_is_named_with_those_that_are_known(step):
    with pytest.raises(UsageError, match="No optimizer is called 'shampoo'"):
        memory_of(step, settings=MemorySettings(optimizer="shampoo"))


def test_what_has_no_repeated_layers_cannot_be_checkpointed(step):
    with pytest.raises(UsageError, match="no repeated layers"):
        memory_of(step, settings=MemorySettings(checkpointing="full"))


def test_a_measurement_sees_a_part(step):
    found = memory_of(step, device=device())
    seen = [found.measured(basis) for basis in ("allocated", "reserved", "nvidia_smi")]
    assert seen == sorted(seen) == [found.allocated_bytes, found.reserved_bytes, found.total_bytes]
    assert found.live_bytes < seen[0]


def test_the_verdict_follows_the_range(step):
    found = memory_of(step, device=device())
    low, high = math.floor(found.total.low), math.ceil(found.total.high)
    assert [found.on(size).verdict for size in (low - 1, low + 1, high)] == ["out_of_memory", "tight", "fits"]
    assert found.on(None).verdict is None and found.on(None).probability_out_of_memory is None
    assert found.on(0).probability_out_of_memory == 1.0


def test_the_ends_of_the_range_are_where_one_in_ten_lies(step):
    found = memory_of(step, device=device())
    risks = [found.on(round(size)).probability_out_of_memory for size in (found.total.low, found.total.high)]
    assert risks == pytest.approx([0.9, 0.1], abs=1e-4)
    assert found.on(round(found.total.mid)).probability_out_of_memory == pytest.approx(0.5, abs=1e-4)


def test_a_range_without_width_is_certain(step):
    sure = replace(memory_of(step), total=Range.exactly(100.0))
    assert [sure.on(size).probability_out_of_memory for size in (99, 101)] == [1.0, 0.0]


TRACED = [name for name, each in optimizers().items() if each.source.endswith("traced")]


@pytest.mark.parametrize("name", TRACED)
def test_the_table_of_optimizers_agrees_with_a_trace(name):
    model = torch.nn.Sequential(torch.nn.Linear(256, 512), torch.nn.Linear(512, 256))
    traced = profile_model(model, (torch.zeros(1, 256),), optimizer=name)
    size = 4 * traced.parameters
    stepping = [m.activation_bytes for m in traced.trace.timeline if m.phase == "optimizer"]
    known = optimizer(name)
    assert traced.memory.optimizer_state_bytes == pytest.approx(known.states * size, abs=0.01 * size)
    temporaries = known.temporaries * size + known.largest * 4 * 256 * 512
    assert max(stepping, default=0) == pytest.approx(temporaries, abs=0.02 * size)


def test_what_a_shared_memory_leaves_to_the_system_is_named(step):
    """Metal leaves 71 to 84 % to programs: a quarter of 16 GiB is not the program's, and not its context either."""
    mac = device(vendor="Apple", memory_bytes=16 * 2**30)
    found = memory_of(step, device=mac)
    assert found.parts["kept by the system"] == pytest.approx(0.26 * 16 * 2**30, abs=1)
    assert found.context_bytes < 2**30
    assert sum(found.parts.values()) == found.total_bytes == pytest.approx(found.total.mid, abs=20)
    card = memory_of(step, device=device(memory_bytes=16 * 2**30))
    assert card.system_bytes == 0


def test_float8_keeps_two_bytes_of_each_linear_weight_and_the_maxima_of_five_tensors():
    """Transformer Engine: the weight in 8 bits and its transpose; 1,024 float32 maxima of each tensor of a layer."""

    def step(precision, mode="train"):
        layers = torch.nn.Sequential(torch.nn.Linear(64, 256), torch.nn.ReLU(), torch.nn.Linear(256, 32, bias=False))
        return profile_model(layers, (torch.randn(16, 64),), precision=precision, mode=mode)

    copies = 2 * (64 * 256 + 256 * 32) + 2 * 5 * 1024 * 4
    assert memory_of(step("float8")).copy_bytes == memory_of(step("float8")).parts["8-bit copies"] == copies
    assert memory_of(step("float8")).live_bytes == memory_of(step("bfloat16")).live_bytes + copies
    assert memory_of(step("bfloat16")).copy_bytes == memory_of(step("float8", "forward")).copy_bytes == 0
