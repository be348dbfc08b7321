"""Which processor this machine has, and how many of its cores a program may really use.

Clouds hide the model ("AMD EPYC", "Intel(R) Xeon(R) Processor"); vendor, family, model and stepping still tell the
architecture (`rates.csv`, column `identifies`), and a published processor of that architecture then stands in: of
several a server part for a server part, then the one with the nearest base clock. An architecture without a row gets
a derived entry: cores x rate x clock.
"""

from __future__ import annotations

import os
import platform
import re
import subprocess
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import date
from pathlib import Path

import psutil

from hardware_db.database import Database
from hardware_db.devices import figure_fields
from hardware_db.part import Share, with_own_figures
from hardware_db.rates import rates
from hardware_db.records import Device, Figure
from hardware_db.tables import rows, words

_CPUINFO = Path("/proc/cpuinfo")
_CGROUP = Path("/sys/fs/cgroup")
_CLOCK = re.compile(r"@\s*(?P<ghz>\d+(?:\.\d+)?)\s*GHz", re.IGNORECASE)
#: Words in the names of processors for desks and laps; a server part does not stand in for one where there is a choice.
_CLIENTS = ("core(tm)", "intel core ", "ryzen", "threadripper")


@dataclass(frozen=True)
class CpuFacts:
    """What the system says of its processor.

    `signature` is "vendor/family/model/stepping" on x86 and "implementer/part" on Arm; `cores` are the physical cores
    that this process may use (affinity and container quota respected), `threads` the logical ones behind them and
    `memory_bytes` likewise. `clock_hz` is what
    the system says of the clock right now.
    """

    name: str
    signature: str
    flags: frozenset[str]
    cores: float
    memory_bytes: int
    clock_hz: float | None = None
    threads: float | None = None

    @property
    def base_clock_hz(self) -> float | None:
        """The clock in the name ("@ 2.30GHz"), else the one of right now."""
        named = _CLOCK.search(self.name)
        return float(named["ghz"]) * 1e9 if named else self.clock_hz


@dataclass(frozen=True)
class FoundCpu:
    """The part of a published processor that this machine is; `basis` is name, architecture, derived or unknown."""

    facts: CpuFacts
    device: Device | None
    basis: str
    note: str


def read_cpu() -> CpuFacts:
    """Ask the system."""
    processors = parse_cpuinfo(_CPUINFO.read_text()) if _CPUINFO.exists() else ()
    first = processors[0] if processors else {}
    allowed, quota = _affinity(), _quota(_CGROUP)
    return CpuFacts(
        name=first.get("model name") or _brand_string(),
        signature=_signature(first),
        flags=frozenset((first.get("flags") or first.get("Features", "")).split()),
        cores=usable_cores(processors, allowed, quota),
        threads=usable_threads(processors, allowed, quota),
        memory_bytes=_memory_bytes(_CGROUP),
        clock_hz=float(first["cpu MHz"]) * 1e6 if "cpu MHz" in first else None,
    )


def match_cpu(database: Database, facts: CpuFacts) -> FoundCpu:
    """Return the row of the table that a processor is, scaled to the usable cores with this machine's memory."""
    named = [database.devices_by_id[id] for id in database.names.candidates(facts.name)] if facts.name else []
    cpus = [device for device in named if device.kind == "cpu"]
    if len(cpus) == 1:
        return FoundCpu(facts, _part(cpus[0], facts), "name", f"{facts.cores:g} cores of {cpus[0].name}")
    architecture = architecture_of(facts.signature)
    same = [d for d in database.devices(kind="cpu") if d.architecture == architecture and d.compute_units]
    if architecture is None:
        return FoundCpu(facts, None, "unknown", f"no row for {facts.name or 'this processor'} ({facts.signature})")
    if not same:
        return _derived(facts, architecture)
    stand_in = _stand_in(cpus or same, facts)
    why = f"{facts.signature} is {architecture}, so {stand_in.name} stands in for its cores"
    note = f"{facts.name} has no row of its own; {why}" if facts.name else f"the model is hidden; {why}"
    return FoundCpu(facts, _part(stand_in, facts, stands_in=True), "architecture", note)


def _stand_in(same: Iterable[Device], facts: CpuFacts) -> Device:
    """Return the one of the same class (server or client) with the nearest base clock; of equal ones the largest."""
    client = _is_client(facts.name)

    def distance(device: Device) -> tuple[bool, float, float]:
        base = device.peak_clock_hz
        gap = abs(base / facts.base_clock_hz - 1) if base and facts.base_clock_hz else 0.0
        return _is_client(device.name) != client, round(gap, 2), -(device.compute_units or 0)

    return min(same, key=distance)


def _derived(facts: CpuFacts, architecture: str) -> FoundCpu:
    """Build an entry from cores, clock and the architecture's rates; there is no bandwidth that could be derived."""
    clock = facts.base_clock_hz
    if clock is None:
        return FoundCpu(facts, None, "unknown", f"{facts.name} is {architecture}, which has no row, and says no clock")
    peaks = ((key, facts.cores * rate * clock) for key, rate in rates().items() if key[0] == architecture)
    figures = tuple(_peak_figure(engine, precision, peak) for (_, engine, precision), peak in peaks)
    device = Device(
        id="derived-" + re.sub(r"[^a-z0-9]+", "-", facts.name.casefold()).strip("-"),
        kind="cpu",
        vendor="Intel" if facts.signature.startswith("GenuineIntel") else "AMD",
        name=f"{facts.name} (derived)",
        architecture=architecture,
        status="derived",
        release_date=None,
        accounting_unit="cores of this machine",
        compute_unit="core",
        logical_devices=1,
        memory_bytes=facts.memory_bytes,
        compute_units=facts.cores,
        peak_clock_hz=clock,
        figures=figures,
        note="Derived from the processor's own properties; not published by anybody.",
        **figure_fields(figures),
    )
    return FoundCpu(facts, device, "derived", f"{facts.name} is {architecture}, no row: peak is cores x rate x clock")


def architecture_of(signature: str) -> str | None:
    """Return the architecture that a CPU signature tells, or None."""
    for row in rows("rates.csv"):
        if any(_fits(pattern, signature) for pattern in words(row["identifies"])):
            return row["architecture"]
    return None


def parse_cpuinfo(text: str) -> tuple[Mapping[str, str], ...]:
    """Split /proc/cpuinfo into one mapping per logical processor."""
    blocks = (block for block in text.split("\n\n") if block.strip())
    found = (
        {key.strip(): value.strip() for key, _, value in (line.partition(":") for line in block.splitlines())}
        for block in blocks
    )
    return tuple(block for block in found if "processor" in block)


def usable_cores(processors: Iterable[Mapping[str, str]], allowed: frozenset[int] | None, quota: float | None) -> float:
    """Return the physical cores behind the logical processors that may be used; a container's quota caps them."""
    known = _allowed(processors, allowed)
    topology = {(p.get("physical id"), p.get("core id")) for p in known if "core id" in p}
    logical = _logical(known, allowed)
    cores = float(len(topology) or (logical if known else psutil.cpu_count(logical=False) or logical))
    if quota is None:
        return cores
    return min(cores, quota * cores / logical)


def usable_threads(
    processors: Iterable[Mapping[str, str]], allowed: frozenset[int] | None, quota: float | None
) -> float:
    """Return the logical processors that may be used; a container's quota caps them."""
    logical = float(_logical(_allowed(processors, allowed), allowed))
    return logical if quota is None else min(logical, quota)


def _allowed(processors: Iterable[Mapping[str, str]], allowed: frozenset[int] | None) -> list[Mapping[str, str]]:
    return [each for each in processors if allowed is None or int(each["processor"]) in allowed]


def _logical(known: list[Mapping[str, str]], allowed: frozenset[int] | None) -> int:
    return len(known) or len(allowed or ()) or os.cpu_count() or 1


def _peak_figure(engine: str, precision: str, flops_per_s: float) -> Figure:
    said = ("this machine",), date.today(), "cores x rate x clock"
    return Figure(f"{engine}_peak", precision, "float32", flops_per_s / 1e12, "TFLOP/s", "derived", *said)


def _part(device: Device, facts: CpuFacts, *, stands_in: bool = False) -> Device:
    assert device.compute_units is not None
    part = device.fraction(facts.cores / device.compute_units, memory_bytes=facts.memory_bytes)
    why = f"{facts.cores:g} of {device.compute_units:g} cores of {device.name}"
    return with_own_figures(device, part, Share(why, reported=("compute_units", "memory"), stands_in=stands_in))


def _is_client(name: str) -> bool:
    return any(word in name.casefold() for word in _CLIENTS)


def _fits(pattern: str, signature: str) -> bool:
    """Whether "GenuineIntel/6/85/5-15" covers "GenuineIntel/6/85/7"; a pattern without stepping covers all."""
    wanted, given = pattern.split("/"), signature.split("/")
    if len(wanted) < 4 or len(given) < 4:
        return wanted == given[: len(wanted)]
    low, _, high = wanted[3].partition("-")
    return wanted[:3] == given[:3] and given[3].isdigit() and int(low) <= int(given[3]) <= int(high or low)


def _signature(first: Mapping[str, str]) -> str:
    if "CPU part" in first:
        return f"{first.get('CPU implementer', '')}/{first['CPU part']}"
    parts = [first.get(key, "") for key in ("vendor_id", "cpu family", "model", "stepping")]
    return "/".join(parts) if parts[0] else ""


def _brand_string() -> str:
    """Return the processor's name where there is no /proc/cpuinfo: sysctl on a Mac, else what Python knows."""
    if platform.system() == "Darwin":
        command = ["sysctl", "-n", "machdep.cpu.brand_string"]
        try:
            return subprocess.run(command, capture_output=True, text=True, timeout=5, check=True).stdout.strip()
        except (OSError, subprocess.SubprocessError):
            return ""
    return platform.processor()


def _affinity() -> frozenset[int] | None:
    return frozenset(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else None


def _quota(cgroup: Path) -> float | None:
    """Return the logical processors that a container may use at most (cgroup v2 cpu.max), or None."""
    try:
        quota, period = (cgroup / "cpu.max").read_text().split()
        return None if quota == "max" else float(quota) / float(period)
    except (OSError, ValueError):
        return None


def _memory_bytes(cgroup: Path) -> int:
    total = int(psutil.virtual_memory().total)
    try:
        limit = (cgroup / "memory.max").read_text().strip()
    except OSError:
        return total
    return min(total, int(limit)) if limit.isdigit() else total
