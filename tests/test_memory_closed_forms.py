"""Bytes of each parameter as papers and manuals give them, for Llama 3.1 8B: worked out by hand from its dimensions."""

import pytest

from estimator.memory import MemorySettings, host_of, memory_of
from profiles.library import Question, find

LAYERS, HIDDEN, KEYS, INSIDE, WORDS = 32, 4096, 1024, 14336, 128256
PRODUCTS = LAYERS * (2 * HIDDEN * HIDDEN + 2 * HIDDEN * KEYS + 3 * HIDDEN * INSIDE)
"""q and o, k and v, gate and up and down."""
NORMS = LAYERS * 2 * HIDDEN
OUTSIDE = 2 * WORDS * HIDDEN + HIDDEN
"""Embedding, head and last norm."""
ALL = PRODUCTS + NORMS + OUTSIDE
ADAPTERS = 16 * LAYERS * (2 * 2 * HIDDEN + 2 * (HIDDEN + KEYS) + 3 * (HIDDEN + INSIDE))
"""Rank 16: inputs and outputs of each linear layer. 41,943,040 are what Unsloth prints for this model."""


def recorded(precision):
    return find(Question("llama-3.1-8b", "train", precision, "adamw", "cuda")).at(2, 2048)


def state(precision, **fields):
    need = memory_of(recorded(precision), settings=MemorySettings(accumulates=True, **fields))
    return need.parameter_bytes, need.gradient_bytes, need.optimizer_state_bytes


def test_the_dimensions_are_those_of_the_model():
    assert ALL == recorded("amp_bfloat16").parameters == 8_030_261_248
    assert ADAPTERS == 41_943_040


@pytest.mark.parametrize(
    ("precision", "fields", "each"),
    [
        # 16 bytes: float32 weights and gradients, two states (Rajbhandari et al., 2020, arXiv:1910.02054, section 3.1).
        ("amp_bfloat16", {}, (4, 4, 8)),
        ("float32", {}, (4, 4, 8)),
        # "8-bit optimizers use 2 instead of 8 bytes", and a scale for each block (Dettmers et al., arXiv:2110.02861).
        ("amp_bfloat16", {"optimizer": "adamw-8bit"}, (4, 4, 2 + 8 / 256)),
        ("amp_bfloat16", {"optimizer": "lion-8bit"}, (4, 4, 1 + 4 / 256)),
        # One momentum (Chen et al., 2023, arXiv:2302.06675, "half of the memory").
        ("float32", {"optimizer": "lion"}, (4, 4, 4)),
        ("float32", {"optimizer": "sgd"}, (4, 4, 0)),
        ("float32", {"optimizer": "sgd-momentum"}, (4, 4, 4)),
    ],
)
def test_bytes_of_a_parameter(precision, fields, each):
    assert state(precision, **fields) == tuple(round(size * ALL) for size in each)


def test_adapters_are_all_that_is_trained():
    """LoRA: gradients and two states of the adapters alone, in float32 (peft; Hu et al., 2021, arXiv:2106.09685)."""
    assert state("float32", lora_rank=16) == (4 * ALL + 4 * ADAPTERS, 4 * ADAPTERS, 8 * ADAPTERS)


def test_weights_of_four_bits_and_their_scales():
    """QLoRA: 4 bits and 0.127 of doubly quantised scales (Dettmers et al., 2023, arXiv:2305.14314, section 3)."""
    parameters, _, _ = state("amp_bfloat16", lora_rank=16, weight_bits=4.127)
    by_hand = (PRODUCTS + NORMS) * 4.127 / 8 + 4 * OUTSIDE + 4 * ADAPTERS
    assert parameters == pytest.approx(by_hand, rel=1e-6)


def test_an_optimizer_on_the_host_takes_its_weights_and_gradients_along():
    """ZeRO-Offload: float32 weights, momentum and variance, and gradients (Ren et al., 2021, arXiv:2101.06840)."""
    settings = MemorySettings(offloaded=("optimizer",))
    step = recorded("amp_bfloat16")
    assert host_of(step, settings).offloaded_bytes == (4 + 4 + 8) * ALL
    assert memory_of(step, settings=settings).optimizer_state_bytes == 0


@pytest.mark.parametrize("devices", [2, 8, 64])
def test_stages_of_zero_divide_what_the_paper_says(devices):
    """Rajbhandari et al., 2020, figure 1, with float32 weights: 8 + 8/N, 4 + 12/N and 16/N bytes."""
    for stage, bytes_each in ((1, 8 + 8 / devices), (2, 4 + 12 / devices), (3, 16 / devices)):
        held = sum(state("amp_bfloat16", zero_stage=stage, replicas=devices))
        assert held == pytest.approx(bytes_each * ALL, rel=1e-6)  # the peak is at the loss: no gradient is whole then
