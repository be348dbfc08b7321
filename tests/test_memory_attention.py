"""Fused attention worked out from a recording of attention written out as products."""

import pytest

from estimator.fit import fit
from estimator.memory import MemorySettings, memory_of
from estimator.memory.attention import written_out
from profiles.definitions import profile_definition
from profiles.models import resolve
from profiles.request import ProfileRequest

SMALL = "llama,num_hidden_layers=3,hidden_size=128,num_attention_heads=8,intermediate_size=256,vocab_size=256"


def recorded(kernel, length=512):
    request = ProfileRequest(batch_size=4, sequence_length=length, precision="bfloat16", device="cuda")
    return profile_definition(resolve(f"hf:{SMALL},attn_implementation={kernel}#ForCausalLM"), request)


@pytest.fixture(scope="module")
def eager():
    return recorded("eager")


@pytest.fixture(scope="module")
def fused():
    return recorded("sdpa")


@pytest.mark.parametrize("length", [512, 1024, 2048])
@pytest.mark.parametrize("checkpointing", ["none", "full"])
def test_what_remains_is_what_the_kernel_holds(eager, fused, length, checkpointing):
    settings = MemorySettings(fused_attention=True, checkpointing=checkpointing)
    found = memory_of(eager, 4, length, settings=settings).live_bytes
    real = memory_of(fused, 4, length, settings=MemorySettings(checkpointing=checkpointing)).live_bytes
    assert found == pytest.approx(real, rel=0.10)
    assert real < 0.8 * memory_of(eager, 4, length, settings=MemorySettings(checkpointing=checkpointing)).live_bytes


def test_it_is_a_way_only_where_attention_is_written_out(eager, fused):
    assert written_out(eager) and not written_out(fused)
    ways = [{way.changes: way for way in fit(each, "l4").ways} for each in (eager, fused)]
    assert ("fused attention",) in ways[0] and ("fused attention",) not in ways[1]
    assert ways[0]["fused attention",].time.mid < 1
