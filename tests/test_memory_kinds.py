"""A real training step of models of many kinds on this CPU: the bytes of its tensors are predicted to the last one."""

import importlib.util
from pathlib import Path

import pytest
import torch

from profiles import profile_model
from profiles.measured_memory import measure_step_memory

FILE = Path(__file__).parent.parent / "benchmarks" / "cpu_models.py"
QUICK = ("mlp", "cnn", "lstm")
SLOWER = ("encoder", "vit", "unet", "mixer", "dlrm", "autoencoder")
GRU_EXCESS = 0.10
"""A CPU multiplies the inputs of all steps of a GRU at once; on symbolic tensors torch does it step by step."""


@pytest.fixture(scope="module")
def models():
    spec = importlib.util.spec_from_file_location("cpu_models", FILE)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def decoder():
    transformers = pytest.importorskip("transformers")
    config = transformers.GPT2Config(n_layer=3, n_embd=96, n_head=4, vocab_size=500, bos_token_id=0, eos_token_id=0,
                                     use_cache=False)  # fmt: skip
    return transformers.GPT2LMHeadModel(config), torch.randint(0, 500, (2, 32))


def masked():
    transformers = pytest.importorskip("transformers")
    config = transformers.BertConfig(num_hidden_layers=3, hidden_size=96, num_attention_heads=4,
                                     intermediate_size=256, vocab_size=500)  # fmt: skip
    return transformers.BertForMaskedLM(config), torch.randint(0, 500, (2, 32))


def grouped():
    transformers = pytest.importorskip("transformers")
    config = transformers.LlamaConfig(num_hidden_layers=3, hidden_size=96, num_attention_heads=4, num_key_value_heads=2,
                                      intermediate_size=256, vocab_size=500, use_cache=False)  # fmt: skip
    return transformers.LlamaForCausalLM(config), torch.randint(0, 500, (2, 32))


def scores(outputs):
    return (outputs.logits if hasattr(outputs, "logits") else outputs).mean()


def both(make, optimizer="adamw"):
    """Bytes of the real step, and of the predicted one."""
    torch.manual_seed(0)
    model, inputs = make()
    model.train()
    args = inputs if isinstance(inputs, tuple) else (inputs,)
    with torch.no_grad():  # what a process keeps of its first call is no part of a step
        model(*args)
    predicted = profile_model(model, args, optimizer=optimizer, device="cpu").peak_memory_bytes
    if optimizer == "adamw":
        made = torch.optim.AdamW(model.parameters(), foreach=False)
    else:
        made = torch.optim.SGD(model.parameters(), lr=0.01, momentum=0.9, foreach=False)
    return measure_step_memory(model, args, {}, scores, made).tensor_bytes, predicted


@pytest.mark.parametrize("kind", [*QUICK, *(pytest.param(kind, marks=pytest.mark.slow) for kind in SLOWER)])
def test_a_real_step_is_met_to_the_byte(models, kind):
    real, predicted = both(getattr(models, kind))
    assert predicted == real


@pytest.mark.parametrize("make", [decoder, masked, grouped])
def test_a_transformer_of_the_library_is_met_to_the_byte(make):
    real, predicted = both(make)
    assert predicted == real


def test_momentum_is_met_to_the_byte(models):
    real, predicted = both(models.mlp, "sgd-momentum")
    assert predicted == real


@pytest.mark.slow
def test_a_gru_is_met_within_what_its_gates_take(models):
    real, predicted = both(models.gru)
    assert real <= predicted <= real * (1 + GRU_EXCESS)
