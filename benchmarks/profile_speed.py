"""How fast flopcast counts a forward pass, in which memory and how rightly, beside the counters people use.

    python -m pip install --no-deps -r benchmarks/requirements.txt
    python benchmarks/profile_speed.py [--models gpt2 bert-large] [--repeats 3]

Every tool counts every model in a process of its own, best of the repeats. Truth is written out by hand below, matrix
products only, 2 FLOPs per multiply-add; tools that count multiply-adds are doubled first. `count` is the time of the
tool's own call in seconds of the processor, `all` that of the whole process with all imports and the making of the
model, `memory` the most that the process held. Ratios are to flopcast. Tools that take no meta tensors need a model
with weights: that is part of what they cost.
"""

from __future__ import annotations

import argparse
import importlib.metadata
import json
import os
import resource
import subprocess
import sys
import time
from collections.abc import Callable
from typing import Any

Call = tuple[Any, dict[str, Any]]
Counter = Callable[[Any, dict[str, Any]], float]


def gpt2(length: int = 1024, layers: int = 12, width: int = 768, words: int = 50257) -> int:
    """Radford et al. 2019: 12 width^2 a layer and token, scores and weighted values, the output layer."""
    return 2 * length * (layers * 12 * width**2 + words * width) + layers * 4 * length**2 * width


def bert_large(length: int = 128, layers: int = 24, width: int = 1024, words: int = 30522) -> int:
    """Devlin et al. 2018, masked language model: the layers, the head's dense layer and the output layer."""
    return 2 * length * (layers * 12 * width**2 + width**2 + words * width) + layers * 4 * length**2 * width


def vit_b_16(layers: int = 12, width: int = 768, tokens: int = 197) -> int:
    """Dosovitskiy et al. 2020, one image of 224 x 224 and 1000 classes."""
    patches = 196 * width * 3 * 16 * 16
    return 2 * (patches + layers * (tokens * 12 * width**2 + 2 * tokens**2 * width) + width * 1000)


TRUTH = {
    "resnet50": 2
    * 4_089_184_256,  # 4.089 GMAC: He et al. 2015, table 1, layer by layer in tests/test_hand_truth_zoo.py
    "vit-b-16": vit_b_16(),
    "bert-large": bert_large(),
    "gpt2": gpt2(),
}
LENGTHS = {"gpt2": 1024, "bert-large": 128}


def made(model: str, device: str) -> Call:
    """Return a model of the zoo and what it is called with, batch 1."""
    import torch

    from profiles.models import resolve

    definition = resolve(model)
    sizes = definition.sizes(1, LENGTHS.get(model), None)
    with torch.device(device):
        module = definition.build().eval()
        args, kwargs = definition.inputs(sizes.batch_size, sizes.sequence_length, sizes.image_size)
    kwargs = {name: value for name, value in kwargs.items() if name not in definition.labels}
    names = [name for name in module.forward.__code__.co_varnames[1:]]
    return module, {**dict(zip(names, args, strict=False)), **kwargs}


def by_flopcast(module: Any, inputs: dict[str, Any]) -> float:
    """Products of the forward pass."""
    from profiles import profile_model

    return profile_model(module, (), inputs, mode="forward").matmul_flops.total


def by_torch(module: Any, inputs: dict[str, Any]) -> float:
    """torch.utils.flop_counter, as its documentation uses it."""
    import torch
    from torch.utils.flop_counter import FlopCounterMode

    with torch.no_grad(), FlopCounterMode(display=False) as counter:
        module(**inputs)
    return float(counter.get_total_flops())


def by_fvcore(module: Any, inputs: dict[str, Any]) -> float:
    """Twice the multiply-adds that fvcore counts; it takes positional tensors and wants one tensor back."""
    import torch
    from fvcore.nn import FlopCountAnalysis

    class Positional(torch.nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.module = module

        def forward(self, *values: Any) -> Any:
            output = self.module(**dict(zip(inputs, values, strict=True)))
            return getattr(output, "logits", output)

    analysis = FlopCountAnalysis(Positional(), tuple(inputs.values()))
    analysis.unsupported_ops_warnings(False).uncalled_modules_warnings(False)
    return float(2 * analysis.total())


def by_calflops(module: Any, inputs: dict[str, Any]) -> float:
    """calflops.calculate_flops; it imports torchvision, whose compiled part a plain CPU build of torch lacks."""
    from profiles.models import torchvision_shim

    torchvision_shim.prepare()
    from calflops import calculate_flops

    flops, _, _ = calculate_flops(
        model=module, kwargs=inputs, print_results=False, print_detailed=False, output_as_string=False
    )
    return float(flops)


def by_deepspeed(module: Any, inputs: dict[str, Any]) -> float:
    """DeepSpeed's get_model_profile; it counts multiply-adds apart."""
    from deepspeed.profiling.flops_profiler import get_model_profile

    flops, _, _ = get_model_profile(model=module, kwargs=inputs, print_profile=False, as_string=False, warm_up=0)
    return float(flops)


def by_torchinfo(module: Any, inputs: dict[str, Any]) -> float:
    """Twice the multiply-adds that torchinfo counts."""
    from torchinfo import summary

    return float(2 * summary(module, input_data=inputs, verbose=0, device="cpu").total_mult_adds)


TOOLS: dict[str, tuple[str, str, Counter]] = {
    "flopcast": ("flopcast", "meta", by_flopcast),
    "torch FlopCounterMode": ("torch", "cpu", by_torch),
    "fvcore": ("fvcore", "cpu", by_fvcore),
    "calflops": ("calflops", "cpu", by_calflops),
    "DeepSpeed": ("deepspeed", "cpu", by_deepspeed),
    "torchinfo": ("torchinfo", "cpu", by_torchinfo),
}
"""Name: (package, device of the model it is given, how it counts)."""


def count(tool: str, model: str) -> dict[str, float]:
    """Count once, in this process."""
    import torch

    torch.set_num_threads(1)
    _, device, counter = TOOLS[tool]
    module, inputs = made(model, device)
    start = time.process_time()
    flops = counter(module, inputs)
    seconds = time.process_time() - start
    held = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024
    return {"flops": flops, "count_s": seconds, "all_s": time.process_time(), "memory_bytes": held}


def counted(tool: str, model: str, repeats: int) -> dict[str, float] | str:
    """Count in processes of their own; the best of each figure, or why there is none."""
    package = TOOLS[tool][0]
    try:
        importlib.metadata.version(package)
    except importlib.metadata.PackageNotFoundError:
        return "not installed"
    command = [sys.executable, __file__, "--one", tool, model]
    quiet = {**os.environ, "OMP_NUM_THREADS": "1", "DS_ACCELERATOR": "cpu"}
    runs = []
    for _ in range(repeats):
        done = subprocess.run(command, capture_output=True, text=True, check=False, env=quiet)
        if done.returncode:
            return f"failed: {done.stderr.strip().splitlines()[-1][:70] if done.stderr.strip() else done.returncode}"
        runs.append(json.loads(done.stdout.strip().splitlines()[-1]))
    return {name: min(run[name] for run in runs) for name in runs[0]}


def row(tool: str, found: dict[str, float] | str, own: dict[str, float], truth: int) -> str:
    """One line of the table."""
    if isinstance(found, str):
        return f"  {tool:<22} {found}"
    right = "exact" if found["flops"] == truth else f"{100 * (found['flops'] / truth - 1):+.2f} %"
    figures = "".join(
        f" {found[name] / unit:>9,.2f} {found[name] / own[name]:>7.1f}x"
        for name, unit in (("count_s", 1), ("all_s", 1), ("memory_bytes", 1e6))
    )
    return f"  {tool:<22}{figures}   {right}"


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--models", nargs="*", choices=list(TRUTH), default=list(TRUTH))
    parser.add_argument("--repeats", type=int, default=2)
    parser.add_argument("--one", nargs=2, help=argparse.SUPPRESS)
    chosen = parser.parse_args()
    if chosen.one:
        print(json.dumps(count(*chosen.one)))
        return
    for model in chosen.models:
        print(f"{model}, one forward pass: {TRUTH[model] / 1e9:,.3f} GFLOPs by hand")
        print(f"  {'':<22} {'count s':>9} {'':>8} {'all s':>9} {'':>8} {'memory MB':>9} {'':>8}   error")
        own: dict[str, float] = {}
        for tool in TOOLS:
            found = counted(tool, model, chosen.repeats)
            own = found if tool == "flopcast" and isinstance(found, dict) else own
            print(row(tool, found, own, TRUTH[model]), flush=True)


if __name__ == "__main__":
    main()
