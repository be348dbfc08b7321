"""Matrix FLOPs of small Hugging Face models called by keyword, derived by hand from their configurations.

A linear layer's backward pass is two products of the forward's size. Fused attention's is five of the forward's two;
plain attention's is four. On CUDA torch fuses float32 attention unless queries are grouped, bfloat16 in any case.
"""

from __future__ import annotations

from typing import Any

import pytest
import torch
from transformers import (
    GPT2Config,
    GPT2LMHeadModel,
    LlamaConfig,
    LlamaForCausalLM,
    MixtralConfig,
    MixtralForCausalLM,
    T5Config,
    T5ForConditionalGeneration,
)

from profiles import ModelProfile, profile_model

BATCH, LENGTH, WIDTH, INNER, VOCABULARY, LAYERS = 2, 64, 64, 160, 1000, 2
TOKENS = BATCH * LENGTH
ATTENTION = 2 * 2 * BATCH * LENGTH * LENGTH * WIDTH
"""Scores and weighted values of one layer."""


def trained(model: torch.nn.Module, precision: str = "float32", **kwargs: Any) -> ModelProfile:
    profile = profile_model(model, (), kwargs, precision=precision, device="cuda")
    assert profile.uncounted == ()
    return profile


def tokens(length: int = LENGTH) -> torch.Tensor:
    return torch.arange(BATCH * length).reshape(BATCH, length) % VOCABULARY


def test_gpt2() -> None:
    model = GPT2LMHeadModel(GPT2Config(n_layer=LAYERS, n_embd=WIDTH, n_head=4, vocab_size=VOCABULARY))
    ids = tokens()
    profile = trained(model, input_ids=ids, attention_mask=torch.ones_like(ids), labels=ids)
    linear = 2 * TOKENS * (LAYERS * 12 * WIDTH**2 + WIDTH * VOCABULARY)
    assert profile.matmul_flops.forward == linear + LAYERS * ATTENTION
    assert profile.matmul_flops.backward == 2 * linear + LAYERS * 5 * ATTENTION // 2
    assert profile.model_flops.backward < profile.flops.backward


SIZES = {"hidden_size": WIDTH, "intermediate_size": INNER, "num_hidden_layers": LAYERS, "vocab_size": VOCABULARY}
SIZES |= {"num_attention_heads": 8, "num_key_value_heads": 2}
PROJECTIONS = 2 * WIDTH**2 + 2 * WIDTH * (WIDTH // 4)
"""Weights of queries and output, of keys and values for a quarter of the heads."""


@pytest.mark.parametrize(("precision", "backward"), [("float32", 4), ("bfloat16", 5)])
def test_llama_with_grouped_queries(precision: str, backward: int) -> None:
    ids = tokens()
    profile = trained(LlamaForCausalLM(LlamaConfig(**SIZES)), precision, input_ids=ids, labels=ids)
    linear = 2 * TOKENS * (LAYERS * (PROJECTIONS + 3 * WIDTH * INNER) + WIDTH * VOCABULARY)
    assert profile.matmul_flops.forward == linear + LAYERS * ATTENTION
    assert profile.matmul_flops.backward == 2 * linear + LAYERS * backward * ATTENTION // 2


def test_mixtral_counts_two_of_eight_experts() -> None:
    model = MixtralForCausalLM(MixtralConfig(**SIZES, num_local_experts=8, num_experts_per_tok=2))
    ids = tokens()
    profile = trained(model, "bfloat16", input_ids=ids, labels=ids)
    layer = PROJECTIONS + 8 * WIDTH + 2 * 3 * WIDTH * INNER
    linear = 2 * TOKENS * (LAYERS * layer + WIDTH * VOCABULARY)
    assert profile.matmul_flops.forward == linear + LAYERS * ATTENTION
    assert profile.matmul_flops.backward == 2 * linear + LAYERS * 5 * ATTENTION // 2


def test_t5_with_encoder_and_decoder() -> None:
    short, inner = 32, 128
    config = T5Config(
        vocab_size=VOCABULARY,
        d_model=WIDTH,
        d_kv=16,
        d_ff=inner,
        num_layers=LAYERS,
        num_heads=4,
        decoder_start_token_id=0,
        dropout_rate=0.0,
    )
    profile = trained(T5ForConditionalGeneration(config), input_ids=tokens(), labels=tokens(short))
    weights, decoded = WIDTH * WIDTH, BATCH * short
    encoder = TOKENS * LAYERS * (4 * weights + 2 * WIDTH * inner)
    decoder = decoded * (LAYERS * (6 * weights + 2 * WIDTH * inner) + WIDTH * VOCABULARY)
    memory = TOKENS * LAYERS * 2 * weights  # keys and values of the encoder's output
    pairs = BATCH * LAYERS * (LENGTH**2 + short**2 + short * LENGTH)
    linear, attention = 2 * (encoder + decoder + memory), 2 * 2 * pairs * WIDTH
    assert profile.matmul_flops.forward == linear + attention
    assert profile.matmul_flops.backward == 2 * linear + 5 * attention // 2
