"""DDP and FSDP steps of small models over gloo processes of this machine, beside what flopcast predicts of them.

    python benchmarks/gloo_steps.py --processes 2 --collectives 2.json

Every process computes with one thread; the data are random and in memory. Computing is predicted from this machine's
profile (`flopcast benchmark`), collectives from those measured just before over as many processes, so the question is
how well a step is put together. Both the step and what it takes over a step of one process alone are compared: on a
shared machine the first is mostly its load.
"""

from __future__ import annotations

import json
import os
import statistics
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import click

from estimator.parallel.costs import Setting
from estimator.parallel.measured_links import links_of
from estimator.parallel.network import Network
from estimator.parallel.parallelism import Parallelism
from estimator.parallel.stack import TORCH
from estimator.parallel.step import parallel_step
from hardware_db import load
from profiles.case_trace import ProfileQuestion, trace
from profiles.machine_profile import MachineProfile

GPT = "hf:gpt2,n_layer={},n_embd={},n_head={},vocab_size=2048,n_positions=128#ForCausalLM"
MODELS: dict[str, tuple[str, int, int | None]] = {
    "gpt, 8 layers of 256": (GPT.format(8, 256, 4), 4, 128),
    "gpt, 4 layers of 512": (GPT.format(4, 512, 8), 4, 128),
    "resnet18": ("torchvision:resnet18", 4, None),
}
WAYS = ("alone", "ddp", "fsdp")
STEPS, WARM_UP = 12, 3


@dataclass(frozen=True)
class Timed:
    """Median and fastest seconds of a step, of the slowest process in each."""

    median_s: float
    fastest_s: float


def stepper(spec: str, batch: int, length: int | None, way: str) -> Callable[[], None]:
    """Return one training step of a model in this process."""
    import torch
    from torch.distributed import init_device_mesh
    from torch.distributed.fsdp import fully_shard
    from torch.nn.parallel import DistributedDataParallel

    from profiles.models import resolve

    torch.manual_seed(0)
    definition = resolve(spec)
    model = definition.build().train()
    args, kwargs = definition.inputs(batch, length, definition.image_size)
    wrapped: Any = model
    if way == "ddp":
        wrapped = DistributedDataParallel(model)
    if way == "fsdp":
        mesh = init_device_mesh("cpu", (torch.distributed.get_world_size(),))
        for child in blocks(model):
            fully_shard(child, mesh=mesh)
        fully_shard(model, mesh=mesh)
    optimizer = torch.optim.AdamW(wrapped.parameters())

    def step() -> None:
        optimizer.zero_grad()
        definition.loss(wrapped(*args, **kwargs), args, kwargs).backward()
        optimizer.step()

    return step


def blocks(model: Any) -> list[Any]:
    """Return the repeated layers of a model: the items of its longest list of modules."""
    from torch import nn

    lists = [each for each in model.modules() if isinstance(each, nn.ModuleList)]
    return list(max(lists, key=len, default=[]))


def timed(step: Callable[[], None]) -> Timed:
    """Time a step: in each repeat the slowest process counts."""
    import torch

    many = torch.distributed.is_initialized()
    taken = []
    for _ in range(WARM_UP + STEPS):
        if many:
            torch.distributed.barrier()
        start = time.perf_counter()
        step()
        seconds = torch.tensor(time.perf_counter() - start, dtype=torch.float64)
        if many:
            torch.distributed.all_reduce(seconds, op=torch.distributed.ReduceOp.MAX)
        taken.append(float(seconds))
    return Timed(statistics.median(taken[WARM_UP:]), min(taken[WARM_UP:]))


def worker(rank: int, processes: int, asked: tuple[str, str], target: str) -> None:
    """Run one model in one way in one process; the first writes what came out."""
    import torch

    torch.set_num_threads(1)
    name, way = asked
    if way != "alone":
        os.environ |= {"MASTER_ADDR": "127.0.0.1", "MASTER_PORT": "29511"}
        torch.distributed.init_process_group("gloo", rank=rank, world_size=processes)
    found = timed(stepper(*MODELS[name], way))
    if rank == 0:
        Path(target).write_text(json.dumps([found.median_s, found.fastest_s]), encoding="utf-8")
    if way != "alone":
        torch.distributed.destroy_process_group()


def measure(name: str, way: str, processes: int) -> Timed:
    """Start the processes of one measurement and wait for them."""
    import tempfile

    from torch import multiprocessing

    with tempfile.TemporaryDirectory() as folder:
        target = str(Path(folder) / "found.json")
        multiprocessing.spawn(worker, (processes, (name, way), target), nprocs=processes)  # type: ignore[no-untyped-call]
        return Timed(*json.loads(Path(target).read_text(encoding="utf-8")))


def predicted(name: str, way: str, processes: int, machine: MachineProfile) -> float:
    """Return what flopcast says of a step in which each process has a core of this machine, or its share of them."""
    spec, batch, length = MODELS[name]
    profile = trace(ProfileQuestion(spec, "train", "float32", "adamw", batch, length, None, False, "cpu"), Path())
    cpu = load().device(machine.machine.device or "")
    cores = machine.machine.units or os.cpu_count() or 1
    device = cpu.fraction(min(1.0, cores / processes) / (cpu.compute_units or cores), memory_bytes=None)
    network = Network("this machine", processes, 1e9, None, "pcie", processes, measured=links_of(machine))
    split = Parallelism()
    if way != "alone":
        split = Parallelism(data_parallel=processes, zero_stage=3 if way == "fsdp" else 0)
    return parallel_step(profile, split, Setting(device, network, TORCH), 1).total.mid


@click.command()
@click.option("--processes", default=2, help="Processes, one thread each.")
@click.option("--collectives", type=click.Path(exists=True, path_type=Path), required=True, help="Their collectives.")
def main(processes: int, collectives: Path) -> None:
    """Measure and predict every model in every way."""
    machine = MachineProfile.load(collectives)
    click.echo(f"{processes} processes on {os.cpu_count()} cores, load {os.getloadavg()[0]:.1f}")
    columns = "measured ms  predicted  error  over alone  predicted"
    click.echo(f"{'model':22} way    {columns}")
    for name in MODELS:
        alone = Timed(0.0, 0.0), 0.0
        for way in WAYS:
            found = measure(name, way, 1 if way == "alone" else processes)
            said = predicted(name, way, processes, machine)
            alone = (found, said) if way == "alone" else alone
            over = f"{1e3 * (found.median_s - alone[0].median_s):11.1f} {1e3 * (said - alone[1]):10.1f}"
            error = said / found.median_s - 1
            click.echo(f"{name:22} {way:6} {1e3 * found.median_s:12.1f} {1e3 * said:10.1f} {error:+6.0%} {over}")


if __name__ == "__main__":
    main()
