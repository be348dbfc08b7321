"""Peak memory of real training steps on this CPU against what four tools say before they run.

    python benchmarks/memory_accuracy.py [NAME ...]
    python benchmarks/memory_accuracy.py --published CASES.csv    published peaks, each source left out in turn

Truth: the bytes of all storages alive during the second step (AdamW, float32), seen below autograd. flopcast traces the
model without running it. torchinfo adds up layers (its "total size", times what it leaves out: nothing). `accelerate
estimate-memory` multiplies the parameters for Adam. torch's MemTracker runs the step on fake tensors.

The peers are imported only here: pip install torchinfo accelerate
"""

from __future__ import annotations

import gc
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import cpu_models
import memory_published
import torch
from torch.distributed._tools.mem_tracker import MemTracker

from profiles import profile_model
from profiles.measured_memory import measure_step_memory
from profiles.models import torchvision_shim

NAMES = ("mlp", "cnn", "lstm", "gru", "encoder", "vit", "unet", "mixer", "dlrm", "autoencoder", "gpt2", "bert",
         "resnet18", "mobilenet_v2")  # fmt: skip
MIB = 2**20


def small_gpt2() -> cpu_models.Made:
    from transformers import GPT2Config, GPT2LMHeadModel

    config = GPT2Config(n_layer=4, n_embd=384, n_head=6, vocab_size=8000, use_cache=False)
    return GPT2LMHeadModel(config), cpu_models.ids(8000, 2, 128)


def small_bert() -> cpu_models.Made:
    from transformers import BertConfig, BertForMaskedLM

    config = BertConfig(num_hidden_layers=4, hidden_size=128, num_attention_heads=2, intermediate_size=512)
    return BertForMaskedLM(config), cpu_models.ids(30522, 4, 64)


def from_zoo(name: str) -> cpu_models.Made:
    from profiles.models import resolve

    definition = resolve(name)
    args, _ = definition.inputs(2, None, 64)
    return definition.build(), args


HERE: dict[str, Callable[[], cpu_models.Made]] = {
    "gpt2": small_gpt2,
    "bert": small_bert,
    "resnet18": lambda: from_zoo("resnet18"),
    "mobilenet_v2": lambda: from_zoo("mobilenet-v2"),
}


def made(name: str) -> tuple[torch.nn.Module, tuple[Any, ...]]:
    """Return a model in training state and what it is called with; the same each time."""
    torch.manual_seed(0)
    model, inputs = (HERE.get(name) or getattr(cpu_models, name))()
    return model.train(), inputs if isinstance(inputs, tuple) else (inputs,)


def loss_of(outputs: Any) -> torch.Tensor:
    """Return the mean of the scores: what `profile_model` minimises where a model has no loss of its own."""
    scores = outputs.logits if hasattr(outputs, "logits") else outputs
    return scores.mean()


def truth(name: str) -> int:
    model, args = made(name)
    with torch.no_grad():  # what a process keeps of its first call is no part of a step
        model(*args)
    optimizer = torch.optim.AdamW(model.parameters(), foreach=False)
    return measure_step_memory(model, args, {}, loss_of, optimizer).tensor_bytes


def flopcast(name: str) -> int:
    model, args = made(name)
    return profile_model(model, args, optimizer="adamw", device="cpu").peak_memory_bytes


def torchinfo(name: str) -> int:
    from torchinfo import summary

    model, args = made(name)
    found = summary(model, input_data=list(args), verbose=0)
    return int(found.total_input + found.total_output_bytes + found.total_param_bytes)


def accelerate(name: str) -> int:
    from accelerate.utils import calculate_maximum_sizes

    model, _ = made(name)
    return int(4 * calculate_maximum_sizes(model)[0])


def mem_tracker(name: str) -> int:
    model, args = made(name)
    optimizer = torch.optim.AdamW(model.parameters(), foreach=False)
    tracker = MemTracker()
    tracker.track_external(model, optimizer, *args)
    for _ in range(2):
        tracker.reset_mod_stats()
        with tracker:
            loss_of(model(*args)).backward()
            optimizer.step()
            optimizer.zero_grad(set_to_none=True)
    peak = tracker.get_tracker_snapshot("peak")
    return int(peak[torch.device("cpu")]["Total"])


TOOLS: tuple[Callable[[str], int], ...] = (flopcast, mem_tracker, torchinfo, accelerate)


def asked(tool: Callable[[str], int], name: str) -> int | None:
    """Return what a tool says; None where it is not installed or fails on the model."""
    try:
        return tool(name)
    except Exception as error:
        print(
            f"  {tool.__name__} on {name}: {type(error).__name__}: {str(error).splitlines()[0][:90]}", file=sys.stderr
        )
        return None


def main(names: list[str]) -> None:
    """Print each model's truth in MiB and each tool's error, then the worst and the median of each tool."""
    torch.set_num_threads(1)
    torchvision_shim.prepare()
    print(f"{'model':<14}{'truth MiB':>10}" + "".join(f"{tool.__name__:>14}" for tool in TOOLS))
    errors: dict[str, list[float]] = {tool.__name__: [] for tool in TOOLS}
    for name in names or NAMES:
        real = truth(name)
        cells = []
        for tool in TOOLS:
            found = asked(tool, name)
            cells.append("-" if found is None else "exact" if found == real else f"{found / real - 1:+.2%}")
            if found is not None:
                errors[tool.__name__].append(abs(found / real - 1))
            gc.collect()
        print(f"{name:<14}{real / MIB:>10.1f}" + "".join(f"{cell:>14}" for cell in cells), flush=True)
    for label, pick in (("median", lambda values: sorted(values)[len(values) // 2]), ("worst", max)):
        cells = [f"{pick(found):.2%}" if found else "-" for found in errors.values()]
        print(f"{label:<24}" + "".join(f"{cell:>14}" for cell in cells))


if __name__ == "__main__":
    if sys.argv[1:2] == ["--published"]:
        memory_published.main(Path(sys.argv[2]))
    else:
        main(sys.argv[1:])
