"""DDP and FSDP steps of small models over gloo processes of this machine, beside what flopcast predicts of them.

    OMP_NUM_THREADS=1 taskset -c 0 flopcast benchmark
    OMP_NUM_THREADS=1 torchrun --nproc-per-node 2 -m profiles.benchmark.collectives -o 2.json
    PYTHONPATH=. python benchmarks/gloo_steps.py --processes 2 --collectives 2.json

Every process computes with one thread; the data are random and in memory. Computing is predicted from this machine's
profile (`flopcast benchmark`, of one core), collectives from those measured just before over as many processes, so the
question is how well a step is put together. Each process takes turns between a step of its own model that nobody joins
and one of the joined: the first has the load of the machine and the cores that processes share in it, so what the
second takes over the first is what joining costs, also on a busy machine.
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
WAYS = ("ddp", "fsdp")
STEPS, WARM_UP = 8, 2


@dataclass(frozen=True)
class Timed:
    """Median seconds of a step apart and of one joined, and of their differences; of the slowest process in each."""

    apart_s: float
    joined_s: float
    over_s: float


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


def timed(step: Callable[[], None]) -> float:
    """Return the seconds of a step in the slowest process."""
    import torch

    torch.distributed.barrier()
    start = time.perf_counter()
    step()
    seconds = torch.tensor(time.perf_counter() - start, dtype=torch.float64)
    torch.distributed.all_reduce(seconds, op=torch.distributed.ReduceOp.MAX)
    return float(seconds)


def worker(rank: int, processes: int, asked: tuple[str, str], target: str) -> None:
    """Run one model in one way in one process; the first writes what came out."""
    import torch

    torch.set_num_threads(1)
    name, way = asked
    os.environ |= {"MASTER_ADDR": "127.0.0.1", "MASTER_PORT": "29511"}
    torch.distributed.init_process_group("gloo", rank=rank, world_size=processes)
    apart, joined = stepper(*MODELS[name], "apart"), stepper(*MODELS[name], way)
    taken = [(timed(apart), timed(joined)) for _ in range(WARM_UP + STEPS)][WARM_UP:]
    if rank == 0:
        columns = *zip(*taken, strict=True), [after - before for before, after in taken]
        Path(target).write_text(json.dumps([statistics.median(each) for each in columns]), encoding="utf-8")
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
    cores = len(os.sched_getaffinity(0))
    device = cpu.fraction(min(1.0, cores / processes) / (cpu.compute_units or cores), memory_bytes=None)
    network = Network("this machine", processes, 1e9, None, "pcie", processes, measured=links_of(machine))
    split = Parallelism()
    if way != "apart":
        split = Parallelism(data_parallel=processes, zero_stage=3 if way == "fsdp" else 0)
    return parallel_step(profile, split, Setting(device, network, TORCH), 1).total.mid


@click.command()
@click.option("--processes", default=2, help="Processes, one thread each.")
@click.option("--collectives", type=click.Path(exists=True, path_type=Path), required=True, help="Their collectives.")
def main(processes: int, collectives: Path) -> None:
    """Measure and predict every model in every way."""
    machine = MachineProfile.load(collectives)
    click.echo(f"{processes} processes on {os.cpu_count()} cores, load {os.getloadavg()[0]:.1f}")
    columns = "apart ms  predicted  joined ms  predicted  error  over apart ms  predicted  scaled error"
    click.echo(f"{'model':22} way   {columns}")
    for name in MODELS:
        apart = 1e3 * predicted(name, "apart", processes, machine)
        for way in WAYS:
            found, joined = measure(name, way, processes), 1e3 * predicted(name, way, processes, machine)
            alone, both, over = (1e3 * each for each in (found.apart_s, found.joined_s, found.over_s))
            scaled = (alone + joined - apart) / both - 1
            figures = f"{alone:8.1f} {apart:10.1f} {both:10.1f} {joined:10.1f} {joined / both - 1:+6.0%}"
            click.echo(f"{name:22} {way:5} {figures} {over:14.1f} {joined - apart:10.1f} {scaled:+13.0%}")


if __name__ == "__main__":
    main()
