"""Collectives over several processes: NCCL between the GPUs of nodes, gloo between processes on CPUs.

    torchrun --nproc-per-node 8 -m profiles.benchmark.collectives -o node.json

Times follow t = latency + bus bytes / bus bandwidth, where the bus bytes are what each process has to send at least:
2 (n - 1) / n of the data for an all-reduce, (n - 1) / n for an all-gather and a reduce-scatter (NVIDIA nccl-tests,
doc/PERFORMANCE.md). Rank 0 prints and saves.
"""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import click
import numpy as np
from scipy.optimize import nnls

from hardware_db.errors import FlopcastError, UsageError
from hardware_db.units import format_bytes, format_duration, format_rate
from profiles.benchmark.clock import Call, Reading
from profiles.benchmark.sampling import Effort, sample
from profiles.machine_profile import FittedFigure, MachineProfile, Timing

if TYPE_CHECKING:
    from profiles.benchmark.target import Target

BYTES: Final = {"cpu": (1 << 10, 1 << 16, 1 << 20, 1 << 24), "gpu": (1 << 10, 1 << 16, 1 << 20, 1 << 24, 1 << 28)}
"""Sizes of the data: the whole of it, over all processes for an all-gather and a reduce-scatter."""

FILE: Final = click.Path(dir_okay=False, path_type=Path)
START: Final = "torchrun --nproc-per-node N -m profiles.benchmark.collectives"

Make = Callable[[Any, Any, int, int], Call]


def _all_reduce(torch: Any, like: Any, elements: int, processes: int) -> Call:
    data = like.new_zeros(elements)
    return lambda: torch.distributed.all_reduce(data)


def _all_gather(torch: Any, like: Any, elements: int, processes: int) -> Call:
    part, whole = like.new_zeros(elements // processes), like.new_zeros(elements // processes * processes)
    return lambda: torch.distributed.all_gather_into_tensor(whole, part)


def _reduce_scatter(torch: Any, like: Any, elements: int, processes: int) -> Call:
    part, whole = like.new_zeros(elements // processes), like.new_zeros(elements // processes * processes)
    return lambda: torch.distributed.reduce_scatter_tensor(part, whole)


@dataclass(frozen=True, slots=True)
class Collective:
    """One kind: how it is called, and how many times its data each process sends, in units of (n - 1) / n."""

    name: str
    make: Make
    passes: int

    def bus_bytes(self, data_bytes: int, processes: int) -> int:
        """Return what each process has to send at least.

        >>> Collective("all-reduce", _all_reduce, 2).bus_bytes(1024, 4)
        1536
        """
        return self.passes * data_bytes * (processes - 1) // processes


COLLECTIVES: Final = (
    Collective("all-reduce", _all_reduce, 2),
    Collective("all-gather", _all_gather, 1),
    Collective("reduce-scatter", _reduce_scatter, 1),
)


class AgreedClock:
    """Times calls that all processes make together: what the slowest one took, the same figure in each of them.

    `spent` is the sum of it, by which all of them stop after the same repeat.
    """

    def __init__(self, torch: Any, device: str) -> None:
        self.torch, self.device = torch, device
        self.spent = 0.0

    def now(self) -> float:
        """Return the seconds spent so far."""
        return self.spent

    def read(self, call: Call, calls: int) -> Reading:
        """Return the time of one of `calls` calls."""
        self.torch.distributed.barrier()
        started = time.perf_counter()
        for _ in range(calls):
            call()
        if self.device != "cpu":
            self.torch.cuda.synchronize()
        longest = self.torch.tensor(time.perf_counter() - started, dtype=self.torch.float64, device=self.device)
        self.torch.distributed.all_reduce(longest, op=self.torch.distributed.ReduceOp.MAX)
        self.spent += float(longest)
        return Reading(float(longest) / calls, float(longest) / calls)


def measure_collectives(torch: Any, device: str, seconds: float) -> tuple[list[Timing], list[str]]:
    """Time every collective at every size in the running process group; also return what was left out."""
    processes = torch.distributed.get_world_size()
    sizes = BYTES["cpu" if device == "cpu" else "gpu"]
    like = torch.zeros(1, device=device)
    timings, notes = [], []
    for collective in COLLECTIVES:
        try:
            for size in sizes:
                clock = AgreedClock(torch, device)
                call = collective.make(torch, like, size // 4, processes)
                effort = Effort(seconds / len(sizes) / len(COLLECTIVES), warm_up_s=0.0)
                taken = sample([call], clock, effort, now=clock.now)
                timings.append(_timing(collective, size, processes, taken.seconds, taken.stable))
        except (RuntimeError, NotImplementedError, ValueError) as error:  # a backend without this collective
            notes.append(f"{collective.name} was left out: {str(error).splitlines()[0][:160]}")
    return timings, notes


def _timing(kind: Collective, size: int, processes: int, seconds: tuple[float, ...], stable: bool) -> Timing:
    return Timing(
        name=f"{kind.name} of {size} bytes over {processes}",
        family="collective",
        precision="float32",
        seconds=seconds,
        wall_seconds=seconds,
        moved_bytes=kind.bus_bytes(size, processes),
        processes=processes,
        stable=stable,
    )


def fit_collectives(timings: Sequence[Timing]) -> Iterator[FittedFigure]:
    """Yield latency and bus bandwidth of every collective that was timed at two sizes at least."""
    for kind in COLLECTIVES:
        chosen = [timing for timing in timings if timing.name.startswith(f"{kind.name} ")]
        if len(chosen) < 2:
            continue
        seconds = np.array([timing.typical_s for timing in chosen])
        amounts = np.array([[1.0, timing.moved_bytes] for timing in chosen]) / seconds[:, None]
        unit = np.linalg.norm(amounts, axis=0)
        costs = nnls(amounts / unit, np.ones(len(seconds)))[0] / unit
        error = float(np.median(np.abs(amounts @ costs - 1)))
        name = kind.name.replace("-", "_")
        yield FittedFigure(f"collective.{name}.latency", float(costs[0]), "s", error, len(chosen))
        if costs[1] > 0:
            bandwidth = float(1 / costs[1])
            yield FittedFigure(f"collective.{name}.bus_bandwidth", bandwidth, "bytes/s", error, len(chosen))


def _target(torch: Any) -> Target:
    from hardware_db import load
    from profiles.benchmark.target import targets

    number = int(os.environ.get("LOCAL_RANK", "0"))
    name = f"cuda:{number}" if torch.cuda.device_count() > number else "cpu"
    return targets(name, torch, load())[0]


def _profile(torch: Any, seconds: float) -> MachineProfile:
    target = _target(torch)
    target.make_current()
    # Bound to its card, NCCL connects at once and a barrier need not guess which card is meant.
    card = None if target.lab.kind == "cpu" else torch.device(target.lab.device)
    torch.distributed.init_process_group(_backend(target), device_id=card)
    try:
        timings, notes = measure_collectives(torch, target.lab.device, seconds)
    finally:
        torch.distributed.destroy_process_group()
    return MachineProfile(
        machine=replace(target.machine, versions=(*target.machine.versions, ("backend", _backend(target)))),
        recorded_at=datetime.now(UTC).isoformat(timespec="seconds"),
        mode="quick",
        timings=tuple(timings),
        figures=tuple(fit_collectives(timings)),
        notes=tuple(notes),
    )


def _backend(target: Target) -> str:
    return "gloo" if target.lab.kind == "cpu" else "nccl"


def _report(profile: MachineProfile) -> Iterator[str]:
    yield f"{profile.machine.reported}, {profile.timings[0].processes} processes, {profile.machine.versions[-1][1]}"
    for timing in profile.timings:
        size = format_bytes(int(timing.name.split(" of ")[1].split(" ")[0]))
        rate = format_rate(timing.moved_bytes / timing.typical_s, "B/s")
        yield f"{timing.name.split(' ')[0]:16}{size:>10}{format_duration(timing.typical_s):>12}{rate:>14}"
    yield from (f"Note: {note}" for note in profile.notes)


@click.command()
@click.option(
    "-o", "--output", type=click.Path(dir_okay=False, path_type=Path), metavar="FILE", help="Save the profile."
)
@click.option("--seconds", type=click.FloatRange(min=0.1), default=20.0, help="Time to take; default: 20.")
def main(output: Path | None, seconds: float) -> None:
    """Time collectives over the processes that torchrun started."""
    import torch

    if int(os.environ.get("WORLD_SIZE", "1")) < 2:
        raise click.UsageError(f"collectives need 2 processes or more. Start: {START}")
    try:
        profile = _profile(torch, seconds)
        if not profile.timings:
            raise UsageError(f"no collective works here: {'; '.join(profile.notes)}")
        if os.environ.get("RANK", "0") == "0":
            if output is not None:
                profile.save(output)
            click.echo("\n".join(_report(profile)))
    except FlopcastError as error:
        raise click.ClickException(str(error)) from error


if __name__ == "__main__":
    main()
