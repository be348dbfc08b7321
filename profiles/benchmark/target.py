"""The devices of this machine that can be timed, and what is to be recorded of them."""

from __future__ import annotations

import importlib.metadata
import subprocess
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from hardware_db.errors import UsageError
from profiles.benchmark.cases import Lab
from profiles.benchmark.clock import Clock, CudaClock, LaunchClock, ProcessorClock, WallClock
from profiles.machine_profile import Machine

if TYPE_CHECKING:
    from hardware_db import Database, Device
    from profiles.benchmark.cases import Timer

PACKAGES = ("flopcast", "torch", "numpy")


@dataclass(frozen=True, slots=True)
class Target:
    """One device: where its data lie, what it is, and the row of the database that it is (None: no row)."""

    lab: Lab
    machine: Machine
    device: Device | None
    note: str = ""

    def clock(self, timer: Timer) -> Clock:
        """Return the clock for a case."""
        if timer == "wall":
            return WallClock()
        if self.lab.kind == "cpu":
            return ProcessorClock(self.lab.torch.get_num_threads())
        cuda = self.lab.torch.cuda
        return LaunchClock(cuda.synchronize) if timer == "launch" else CudaClock(cuda)

    def make_current(self) -> None:
        """Make a card the current one of torch: events, streams and memory statistics are those of the current one."""
        if self.lab.kind == "gpu":
            self.lab.torch.cuda.set_device(self.lab.device)

    @property
    def smi_id(self) -> str:
        """What nvidia-smi calls a card: its UUID, for CUDA_VISIBLE_DEVICES numbers cards in its own way."""
        properties = self.lab.torch.cuda.get_device_properties(self.lab.device)
        return f"GPU-{getattr(properties, 'uuid', '')}"


def targets(name: str, torch: Any, database: Database) -> tuple[Target, ...]:
    """Return what "cpu", "cuda", "cuda:1" or "all" means on this machine.

    Raises
    ------
    UsageError
        This torch does not see such a device.
    """
    cards = [f"cuda:{number}" for number in range(torch.cuda.device_count())]
    seen = ["cpu", *cards]
    wanted = {"all": seen, "cuda": cards[:1]}.get(name, [name] if name in seen else [])
    if not wanted:
        raise UsageError(
            f"--device {name}: this torch ({torch.__version__}) does not see it. Seen here: {', '.join(seen)}, all"
        )
    return tuple(_target(each, torch, database) for each in wanted)


def default_name(torch: Any) -> str:
    """Return the device that is meant where none is named: the first card, else the processor."""
    return "cuda:0" if torch.cuda.device_count() else "cpu"


def _target(name: str, torch: Any, database: Database) -> Target:
    return _processor(torch, database) if name == "cpu" else _card(name, torch, database)


def _processor(torch: Any, database: Database) -> Target:
    from hardware_db.detect_cpu import match_cpu, read_cpu

    found = match_cpu(database, read_cpu())
    threads = torch.get_num_threads()
    machine = Machine(
        device=None if found.device is None else found.device.id,
        reported=found.facts.name,
        kind="cpu",
        architecture="" if found.device is None else found.device.architecture,
        units=min(found.facts.cores, threads),
        threads=threads,
        memory_bytes=found.facts.memory_bytes,
        versions=versions(),
    )
    return Target(Lab(torch, "cpu"), machine, found.device, found.note)


def _card(name: str, torch: Any, database: Database) -> Target:
    from hardware_db.detect import card_of_torch
    from hardware_db.detect_card import match_card

    facts = card_of_torch(torch.cuda.get_device_properties(name))
    found = match_card(database, facts)
    runtime = torch.version.hip or torch.version.cuda or ""
    machine = Machine(
        device=None if found.device is None else found.device.id,
        reported=facts.name,
        kind="gpu",
        architecture="" if found.device is None else found.device.architecture,
        units=facts.units,
        memory_bytes=facts.memory_bytes,
        driver=driver_version(),
        versions=(*versions(), ("rocm" if torch.version.hip else "cuda", runtime)),
    )
    return Target(Lab(torch, name), machine, found.device, found.note)


def versions() -> tuple[tuple[str, str], ...]:
    """Return the installed packages that decide the times."""
    found = []
    for package in PACKAGES:
        try:
            found.append((package, importlib.metadata.version(package)))
        except importlib.metadata.PackageNotFoundError:
            continue
    return tuple(found)


def driver_version() -> str:
    """Return what nvidia-smi says; "" where there is none (ROCm, no driver)."""
    command = ["nvidia-smi", "--query-gpu=driver_version", "--format=csv,noheader"]
    try:
        said = subprocess.run(command, capture_output=True, text=True, timeout=10, check=True).stdout
    except (OSError, subprocess.SubprocessError):
        return ""
    return said.splitlines()[0].strip() if said.strip() else ""
