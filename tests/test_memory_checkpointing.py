"""Checkpointing worked out from a recording without it, against a real step with it."""

import pytest
import torch
from live_storages import real_peak
from torch.utils.checkpoint import checkpoint

from estimator.memory import MemorySettings, memory_of
from estimator.memory.blocks import all_blocks, block_names, bytes_of
from profiles import profile_model

WIDTH, TOKENS, LAYERS = 128, 512, 6
NAMES = {torch.float32: "float32", torch.bfloat16: "bfloat16"}


class Layer(torch.nn.Module):
    def __init__(self):
        super().__init__()
        self.norm, self.act = torch.nn.LayerNorm(WIDTH), torch.nn.GELU()
        self.up, self.down = torch.nn.Linear(WIDTH, 4 * WIDTH), torch.nn.Linear(4 * WIDTH, WIDTH)

    def forward(self, x):
        return x + self.down(self.act(self.up(self.norm(x))))


class Stack(torch.nn.Module):
    def __init__(self, checkpointed):
        super().__init__()
        self.first, self.last = torch.nn.Linear(WIDTH, WIDTH), torch.nn.Linear(WIDTH, WIDTH)
        self.layers = torch.nn.ModuleList(Layer() for _ in range(LAYERS))
        self.checkpointed = checkpointed

    def forward(self, x):
        x = self.first(x)
        for layer in self.layers:
            x = checkpoint(layer, x, use_reentrant=False) if self.checkpointed else layer(x)
        return self.last(x)


def recorded(dtype=torch.float32):
    inputs = (torch.zeros(TOKENS, WIDTH, dtype=dtype),)
    return profile_model(Stack(checkpointed=False).to(dtype), inputs, optimizer="sgd", precision=NAMES[dtype],
                         device="cpu")  # fmt: skip


@pytest.fixture(scope="module")
def plain():
    return recorded()


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
def test_full_checkpointing_is_what_a_real_checkpointed_step_holds(dtype):
    model, step = Stack(checkpointed=True).to(dtype), recorded(dtype)
    optimizer = torch.optim.SGD(model.parameters(), lr=0.01, foreach=False)
    truth = real_peak(model, (torch.randn(TOKENS, WIDTH, dtype=dtype),), optimizer)
    found = memory_of(step, settings=MemorySettings(checkpointing="full")).live_bytes
    assert found == pytest.approx(truth, rel=0.02)
    assert truth < 0.7 * step.peak_memory_bytes  # otherwise there was nothing to be right about


def test_more_is_freed_the_more_is_computed_again(plain):
    kinds = [memory_of(plain, settings=MemorySettings(checkpointing=kind)).live_bytes for kind in
             ("none", "selective", "full")]  # fmt: skip
    assert kinds == sorted(kinds, reverse=True) and len(set(kinds)) == 3
    blocks = [(f"layers.{n}", "full") for n in range(LAYERS)]
    some = [memory_of(plain, settings=MemorySettings(checkpointed_blocks=tuple(blocks[:n]))).live_bytes
            for n in range(LAYERS + 1)]  # fmt: skip
    assert some[0] == kinds[0] and some[-1] == kinds[2]
    assert some == sorted(some, reverse=True)


def test_what_a_layer_keeps_and_what_goes_in(plain):
    (blocks,) = all_blocks(plain.trace.current)
    each = bytes_of(blocks, plain)
    row = 4 * TOKENS * WIDTH
    assert blocks.names == tuple(f"layers.{n}" for n in range(LAYERS))
    assert each.inputs.tolist() == [row] * LAYERS
    # norm 1 row and 2 numbers a token, up and activation 4 rows each, the sum 1
    assert each.kept.tolist() == [10 * row + 2 * 4 * TOKENS] * LAYERS
    assert blocks.members.max() <= 1  # a layer's calls run once more, whatever the number of layers


def test_a_path_lies_in_the_blocks_of_its_first_indices():
    assert list(block_names("stages.[0-1].blocks.2.mlp", 1)) == ["stages.0", "stages.1"]
    assert list(block_names("stages.[0-1].blocks.2.mlp", 2)) == ["stages.0.blocks.2", "stages.1.blocks.2"]
    assert list(block_names("head", 1)) == []


def test_a_loss_in_chunks_holds_a_part_of_the_scores():
    classes = 4000

    class Scores(torch.nn.Module):
        def __init__(self):
            super().__init__()
            self.head = torch.nn.Linear(WIDTH, classes)

        def forward(self, x, labels=None):
            scores = self.head(x)
            loss = torch.nn.functional.cross_entropy(scores, labels)
            return {"loss": loss, "logits": scores}

    inputs = (torch.zeros(TOKENS, WIDTH), torch.zeros(TOKENS, dtype=torch.int64))
    step = profile_model(Scores(), inputs, optimizer="sgd")
    whole, chunks = (memory_of(step, settings=MemorySettings(chunked_loss=chunked)) for chunked in (False, True))
    scores = 4 * TOKENS * classes
    assert whole.activation_bytes > 3.5 * scores > chunks.activation_bytes
    assert chunks.activation_bytes >= 2 * scores  # the scores and their gradient remain
