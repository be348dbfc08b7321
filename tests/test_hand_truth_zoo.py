"""Whole published models against their closed forms, forward and backward, to the last FLOP."""

from __future__ import annotations

from dataclasses import dataclass

import pytest
import torch

from profiles import ModelProfile, profile_model
from profiles.models import resolve


def step(name: str, precision: str, batch_size: int, sequence_length: int | None = None) -> ModelProfile:
    """Training step of a model of the zoo, at one size, for a GPU."""
    definition = resolve(name)
    sizes = definition.sizes(batch_size, sequence_length)
    with torch.device("meta"):
        model = definition.build()
        args, kwargs = definition.inputs(sizes.batch_size, sizes.sequence_length, sizes.image_size)
    profile = profile_model(model, args, kwargs, precision=precision, device="cuda")
    assert profile.uncounted == ()
    return profile


@dataclass(frozen=True)
class Transformer:
    """Weights that every token is multiplied with, and attention of `layers` layers of one width."""

    name: str
    weights: int
    layers: int
    width: int
    precision: str
    length: int

    def linear(self, batch: int) -> int:
        return 2 * batch * self.length * self.weights

    def attention(self, batch: int) -> int:
        return 2 * 2 * batch * self.layers * self.length**2 * self.width


def llama(width: int, key_width: int, inner: int, experts: int = 1) -> int:
    """Weights of one layer: queries, keys, values, output, and the gated feed-forward layers of a token's experts."""
    return 2 * width * width + 2 * width * key_width + experts * 3 * width * inner


TRANSFORMERS = (
    Transformer("gpt2", 12 * 12 * 768**2 + 768 * 50257, 12, 768, "float32", 1024),
    Transformer("gpt2-xl", 48 * 12 * 1600**2 + 1600 * 50257, 48, 1600, "float32", 256),
    Transformer("bert-base", 12 * 12 * 768**2 + 768**2 + 768 * 30522, 12, 768, "float32", 512),
    Transformer("llama-3.1-8b", 32 * llama(4096, 1024, 14336) + 4096 * 128256, 32, 4096, "bfloat16", 2048),
    Transformer(
        "mixtral-8x7b",
        32 * (llama(4096, 1024, 14336, experts=2) + 8 * 4096) + 4096 * 32000,
        32,
        4096,
        "bfloat16",
        1024,
    ),
)


@pytest.mark.parametrize("model", TRANSFORMERS, ids=lambda model: model.name)
def test_transformer(model: Transformer) -> None:
    flops = step(model.name, model.precision, 2, model.length).matmul_flops
    linear, attention = model.linear(2), model.attention(2)
    assert flops.forward == linear + attention
    assert flops.backward == 2 * linear + 5 * attention // 2
    assert flops.optimizer == 0


def test_llama_executes_half_of_its_attention() -> None:
    model = TRANSFORMERS[3]
    profile = step(model.name, model.precision, 2, model.length)
    attention, length = model.attention(2), model.length
    masked = attention - attention * (length + 1) // (2 * length)
    assert profile.flops.forward - profile.executed_flops.forward == masked


def resnet50() -> tuple[int, int]:
    """Multiply-adds of one image of 224 x 224, and those of the stem (He et al. 2015, arXiv:1512.03385, table 1)."""
    stem = 112 * 112 * 64 * 3 * 49
    total, channels = stem + 2048 * 1000, 64
    for width, blocks, size in ((64, 3, 56), (128, 4, 28), (256, 6, 14), (512, 3, 7)):
        for block in range(blocks):
            before = size * 2 if block == 0 and width > 64 else size
            total += before * before * channels * width + size * size * (9 * width * width + width * 4 * width)
            total += size * size * channels * 4 * width if block == 0 else 0
            channels = 4 * width
    return total, stem


def test_resnet50() -> None:
    total, stem = resnet50()
    assert total == 4_089_184_256  # the published 4.089 GMAC
    flops = step("resnet50", "float32", 2).matmul_flops
    assert flops.forward == 2 * 2 * total
    assert flops.backward == 2 * 2 * (2 * total - stem)


def test_vision_transformer() -> None:
    width, tokens, patches = 768, 197, 196
    patch = patches * width * 3 * 16 * 16
    layers = 12 * (tokens * 12 * width**2 + 2 * tokens**2 * width)
    flops = step("vit-b-16", "float32", 2).matmul_flops
    assert flops.forward == 2 * 2 * (patch + layers + width * 1000)
