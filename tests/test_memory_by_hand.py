"""What a device holds, in figures small enough to add up by hand: tensors, constants, copies, caches, chunks, hosts."""

from types import SimpleNamespace

import numpy as np
import pytest
from hand_made import LAYERS, PARAMETERS, WIDTH, profile

from estimator.memory import MemorySettings, checkpoint_bytes, dataset_bytes, host_of, kv_cache_bytes
from estimator.memory.cached_layers import CachedLayers, KvCache
from estimator.memory.eight_bit import eight_bit_bytes
from estimator.memory.holding import Held, course_of, held_at_peak
from estimator.memory.loss import freed_by_chunks
from estimator.memory.moments import BACKWARD, FORWARD, Outline
from estimator.memory.need import need_of
from estimator.memory.overheads import Overhead
from estimator.memory.states import state_of
from estimator.ranges import Range
from hardware_db.errors import UsageError
from profiles.library import Question, find

HELD = Held(
    parameter_bytes=100, gradient_bytes=50, optimizer_state_bytes=200, activation_bytes=300, input_and_buffer_bytes=10,
    gathered_bytes=20, bucket_bytes=30, host_bytes=7, phase="backward", module="h.0", tensors=3, multiplying_threads=2,
    convolves=True, communicates=True, cache_bytes=5, copy_bytes=4,
)  # fmt: skip
OVERHEAD = Overhead(
    workspace_bytes=Range(10, 20, 30),
    convolution_bytes=Range(1, 2, 3),
    slack_bytes=Range(1, 2, 4),
    reserve_share=Range(0.1, 0.2, 0.3),
    context_bytes=Range(40, 50, 60),
    communicator_bytes=Range(5, 6, 7),
    withheld_share=Range(0.2, 0.25, 0.3),
    live_share=Range(0.9, 1.0, 1.1),
)
WEIGHTS = (("h.[0-9]", PARAMETERS),)


class Fake(SimpleNamespace):
    """A namespace that can be remembered."""

    __hash__ = object.__hash__


def ends(found):
    return [found.low, found.mid, found.high]


def test_everything_a_device_holds_adds_up():
    """719 of tensors; 2 x 20 + 2 of workspaces; 3 x 2 of ends; a fifth of all that in reserve; 50 + 6 of context."""
    found = need_of(HELD, OVERHEAD, 100)
    assert HELD.live_bytes == found.live_bytes == 100 + 50 + 200 + 300 + 10 + 20 + 30 + 5 + 4
    assert (found.workspace_bytes, found.slack_bytes, found.reserve_bytes) == (42, 6, 153)
    assert (found.system_bytes, found.context_bytes) == (25, 31)
    assert found.allocated_bytes == 767 and found.reserved_bytes == 920 and found.total_bytes == 976
    assert ends(found.allocated) == pytest.approx([671.1, 767, 865.9])
    assert ends(found.reserved) == pytest.approx([1.1 * 671.1, 1.2 * 767, 1.3 * 865.9])
    assert ends(found.total) == pytest.approx([1.1 * 671.1 + 45, 1.2 * 767 + 56, 1.3 * 865.9 + 67])
    assert sum(found.parts.values()) == 976 and found.parts["allocator"] == 159
    assert need_of(HELD, OVERHEAD).system_bytes == 0


def test_what_is_convolved_or_sent_by_nobody_takes_nothing():
    plain = Held(**{name: getattr(HELD, name) for name in Held.__slots__} | {"convolves": False, "communicates": False})
    found = need_of(plain, OVERHEAD)
    assert found.workspace_bytes == 40 and found.context_bytes == 50


@pytest.mark.parametrize(
    ("capacity", "risk"),
    [
        (400, 0.1), (50, 0.9), (100, 0.5),
        # Half of the way in logarithms, up and down: 0.6408 standard deviations.
        (200, 0.26083), (100 / 2**0.5, 0.73917), (0, 1.0), (1, 1.0),
    ],
)  # fmt: skip
def test_how_likely_the_memory_does_not_suffice(capacity, risk):
    need = need_of(HELD, OVERHEAD)
    sized = type(need)(**{name: getattr(need, name) for name in need.__slots__} | {"total": Range(50, 100, 400)})
    assert sized.on(capacity).probability_out_of_memory == pytest.approx(risk, abs=1e-5)


def linear(module, n, k, **changes):
    fields = {"precision": "float8", "family": "matmul", "phase": "forward"}
    return SimpleNamespace(module=module, dims=(("m", 7), ("n", n), ("k", k)), **(fields | changes))


def test_copies_in_8_bits_and_their_maxima():
    """Two bytes of each weight, and of each layer five times 1,024 float32: 20,480 bytes."""
    operations = (
        linear("h.[0-3].up", 256, 64), linear("head", 10, 64), linear("h.[0-3].up", 256, 64, phase="backward"),
        linear("h.[0-3].scores", 99, 64, precision="bfloat16"),
    )  # fmt: skip
    step = SimpleNamespace(mode="train", trace=SimpleNamespace(current=Fake(operations=operations)))
    assert eight_bit_bytes(step) == 2 * (4 * 256 * 64 + 10 * 64) + 5 * 20_480
    step.mode = "forward"
    assert eight_bit_bytes(step) == 0


LLAMA = CachedLayers("layers.[0-31].attn", 32, 8, 2 * 8 * 128)
"""Llama 3.1 8B: keys and values of 8 heads of 128 in each of 32 layers."""


@pytest.mark.parametrize(
    ("precision", "bytes_each"),
    [("float64", 8), ("float32", 4), ("tf32", 4), ("float16", 2), ("bfloat16", 2), ("float8", 1), ("int8", 1),
     ("int4", 0.5)],
)  # fmt: skip
def test_keys_and_values_of_a_token(precision, bytes_each):
    cache = KvCache((LLAMA,), "bfloat16")
    assert kv_cache_bytes(cache, 1, 1, precision=precision) == 65_536 * bytes_each
    assert kv_cache_bytes(cache, 3, 1000, precision=precision) == 3 * 1000 * 65_536 * bytes_each


def test_what_layers_keep_by_hand():
    windowed = CachedLayers("layers.[0-3].attn", 4, 6, 12, window=100)
    crossing = CachedLayers("layers.[0-3].cross", 4, 6, 12, source_tokens=50)
    cache = KvCache((windowed, crossing), "bfloat16")
    assert cache.elements_per_token == 48
    assert kv_cache_bytes(cache, 1, 70) == 2 * 48 * (70 + 50)
    assert kv_cache_bytes(cache, 1, 700) == 2 * 48 * (100 + 50)
    # Blocks of 16: 112 and 64 tokens. Six heads over four devices: two each.
    assert kv_cache_bytes(cache, 1, 700, block_tokens=16) == 2 * 48 * (112 + 64)
    assert kv_cache_bytes(cache, 1, 700, tensor_parallel=4) == 2 * 16 * (100 + 50)
    with pytest.raises(UsageError, match="batch_size must be 1 or more"):
        kv_cache_bytes(cache, 0, 1)


def test_a_loss_in_eight_parts():
    """The head's 100 bytes and its 40 of scores stay; of the 80 and 160 above them an eighth is alive at a time."""
    outline = Outline(
        np.zeros((7, 6), dtype=np.intp),
        np.array([FORWARD] * 5 + [BACKWARD] * 2),
        ("embed", "head", "", "", "", "head", "embed"),
    )
    activations = np.array([10.0, 100.0, 120.0, 180.0, 260.0, 150.0, 50.0])
    scored, bare = (SimpleNamespace(trace=SimpleNamespace(activation_bytes=each)) for each in ({"head": 40}, {}))
    # 20 bytes above the head are less than its scores: nothing is freed of them.
    assert freed_by_chunks(scored, outline, activations).tolist() == [0, 0, 0, 180 - 150, 260 - 160, 0, 0]
    assert freed_by_chunks(bare, outline, activations).tolist() == [0, 0, 20 - 2.5, 80 - 10, 160 - 20, 0, 0]


@pytest.fixture(scope="module")
def step():
    """Ten layers of a million 16-bit weights, 2 MiB each, and two 16-bit states."""
    return profile(module_parameters=WEIGHTS).at(8, 16)


def test_large_tensors_and_states_by_hand(step):
    assert state_of(step, MemorySettings()).tensors == 30
    assert state_of(step, MemorySettings(optimizer="sgd")).tensors == 10
    # Weights of exactly 1 MiB lie in small blocks.
    small = profile(module_parameters=(("h.[0-9]", PARAMETERS // 2), ("w", PARAMETERS // 2))).at(8, 16)
    assert state_of(small, MemorySettings(optimizer="sgd")).tensors == 1


def test_what_optimizers_hold_by_hand(step):
    # Adafactor: rows and columns in float32, a square taken as 512 by 2,048; a temporary of each weight.
    found = state_of(step, MemorySettings(optimizer="adafactor"))
    assert found.optimizer == 4 * LAYERS * (512 + 2048) and found.temporaries == 2 * PARAMETERS
    # One weight after the other: two temporaries of the largest.
    loop = state_of(step, MemorySettings(optimizer="adam-for-loop"))
    assert loop.optimizer == 4 * PARAMETERS and loop.temporaries == 2 * 2 * WIDTH * WIDTH
    # Muon: one momentum of layers, two states of what is outside of them (half of the numbers here).
    half = profile(module_parameters=(("h.[0-9]", PARAMETERS // 2), ("head", PARAMETERS // 2))).at(8, 16)
    assert state_of(half, MemorySettings(optimizer="muon")).optimizer == 2 * PARAMETERS * 3 // 2


@pytest.mark.parametrize(("stage", "group", "shards"), [(0, None, 1), (1, None, 8), (3, None, 8), (3, 4, 4)])
def test_states_are_divided_over_the_group(step, stage, group, shards):
    settings = MemorySettings(replicas=8, zero_stage=stage, shard_group=group)
    held = held_at_peak(step, settings)
    assert settings.shards == shards and settings.divides_parameters == (stage == 3)
    assert held.optimizer_state_bytes == 4 * PARAMETERS // shards
    assert held.parameter_bytes == 2 * PARAMETERS // (shards if stage == 3 else 1)
    assert held.tensors == round(30 / (shards if stage == 3 else 1))


@pytest.mark.parametrize(("settings", "shards"), [({}, 1), ({"replicas": 4, "zero_stage": 1}, 4)])
def test_temporaries_of_another_optimizer_are_the_peak(step, settings, shards):
    """Adafactor makes a tensor of each weight, of its own shard alone; nothing else is left of the passes then."""
    held = held_at_peak(step, MemorySettings(optimizer="adafactor", **settings))
    assert (held.phase, held.activation_bytes) == ("optimizer", 2 * PARAMETERS // shards)
    assert held.gradient_bytes == 2 * PARAMETERS


def test_the_host_by_hand(step):
    """Four workers with two batches each and one on its way; a batch of eight samples."""
    batch = step.memory.input_bytes
    found = host_of(step)
    assert ends(found.loading) == pytest.approx([4 * each + 9 * batch for each in (30e6, 150e6, 300e6)])
    assert found.sample_bytes == batch // 8
    assert dataset_bytes(step, 0.5) == round(batch / 16)
    assert host_of(step, workers=0).loading.high == batch
    assert checkpoint_bytes(step) == (2 + 4) * PARAMETERS
    offloaded = host_of(step, MemorySettings(offloaded=("optimizer",), replicas=4, zero_stage=1)).offloaded_bytes
    assert offloaded == (2 + 2 + 4) * PARAMETERS // 4
    paged = host_of(step, MemorySettings(optimizer="adamw-8bit-paged", replicas=2, zero_stage=1)).offloaded_bytes
    assert paged == round(2.03125 * PARAMETERS) // 2


def test_what_is_freed_is_taken_off_and_twice_as_much_of_twice_the_layers():
    recorded = find(Question("gpt2", "train", "amp_bfloat16", "adamw", "cuda"), 1, 1024).at(4, 1024)

    def course(**fields):
        return course_of(recorded, MemorySettings(**fields))

    freed = course() - course(checkpointing="full")
    assert freed.max() > 1e9 and (freed > -1e9).all() and course(checkpointing="full").max() < course().max()
    assert course(chunked_loss=True).max() < course().max()
    deeper = course(more_layers=12) - course(more_layers=12, checkpointing="full")
    assert deeper == pytest.approx(2 * freed)
