"""What this machine is: processor, usable cores and memory, accelerators, and the rows of the table that they are.

Cards are asked through `nvidia-smi` and the PCI bus, which needs no Python package. Nothing here imports torch; a
caller that has it passes the module, and torch's own list of devices is used (ROCm, Intel GPUs, units of NVIDIA cards).
"""

from __future__ import annotations

import platform
import shutil
import subprocess
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from hardware_db.database import Database
from hardware_db.detect_card import CardFacts, FoundCard, match_card
from hardware_db.detect_cpu import FoundCpu, match_cpu, read_cpu
from hardware_db.part import Share, with_own_figures

_PCI = Path("/sys/bus/pci/devices")
_DEVICE_FILES = Path("/dev")
#: On Linux every accelerator that torch can list has one of these: NVIDIA (Jetson, WSL too), ROCm, Intel, others.
_DEVICE_NAMES = ("nvidia*", "nvhost*", "nvgpu*", "nvmap", "dxg", "kfd", "dri/renderD*", "accel*")
_GOOGLE = "0x1ae0"
#: PCI device id of a TPU chip to the name that jax gives it (cloud-accelerator-diagnostics, tpu_info/device.py);
#: 0x0027 is v2 or v3, told apart by the subsystem.
_TPU_CHIPS: Mapping[str, str] = {
    "0x0027/0x004e": "TPU v2",
    "0x0027/0x004f": "TPU v3",
    "0x005e": "TPU v4",
    "0x0063": "TPU v5e",
    "0x0062": "TPU v5p",
    "0x006f": "TPU v6e",
    "0x0076": "TPU7x",
}
_SMI_FIELDS = ("name", "memory.total", "power.default_limit", "compute_cap", "clocks.max.sm")


@dataclass(frozen=True)
class Machine:
    """The processor and accelerators of a machine, and what could not be asked."""

    cpu: FoundCpu
    cards: tuple[FoundCard, ...]
    notes: tuple[str, ...]


def detect(database: Database, torch: Any = None) -> Machine:
    """Return what this machine is; nothing is ever taken for something similar. `torch` is the imported module."""
    notes: list[str] = []
    facts = () if torch is None else tuple(cards_that_torch_lists(torch))
    if not facts:
        facts = (*nvidia_smi_cards(notes), *pci_tpus(), *_apple_gpu())
    cpu = match_cpu(database, read_cpu())
    cards = tuple(_with_shared_memory(match_card(database, card), cpu.facts.memory_bytes) for card in facts)
    if not cards:
        notes.append("no accelerator found" + (" (torch was not asked)" if torch is None and may_have_card() else ""))
    return Machine(cpu, cards, tuple(notes))


def may_have_card(system: str = platform.system(), files: Path = _DEVICE_FILES) -> bool:
    """Whether torch could list an accelerator here: importing it takes seconds, which a machine without one saves."""
    return system != "Linux" or any(True for name in _DEVICE_NAMES for _ in files.glob(name))


def _with_shared_memory(found: FoundCard, memory_bytes: int) -> FoundCard:
    """Give an Apple GPU the memory of its machine: the table has the largest that its chip is sold with."""
    if found.device is None or found.device.vendor != "Apple":
        return found
    part = replace(found.device, memory_bytes=memory_bytes)
    share = Share("as reported", reported=("memory",))
    return replace(found, device=with_own_figures(found.device, part, share))


def nvidia_smi_cards(notes: list[str]) -> tuple[CardFacts, ...]:
    """Ask nvidia-smi; a driver that does not answer is noted. MIG slices take the place of their card."""
    if shutil.which("nvidia-smi") is None:
        return ()
    try:
        table = _run("nvidia-smi", f"--query-gpu={','.join(_SMI_FIELDS)}", "--format=csv,noheader,nounits")
        listing = _run("nvidia-smi", "-L")
    except (OSError, subprocess.SubprocessError) as error:
        notes.append(f"nvidia-smi does not answer: {error}")
        return ()
    return parse_nvidia_smi(table, listing)


def parse_nvidia_smi(table: str, listing: str) -> tuple[CardFacts, ...]:
    """Read nvidia-smi's table of cards (MiB, W, MHz) and its listing, which names the MIG slices below each card."""
    cards = [_smi_card(line) for line in table.splitlines() if line.strip()]
    found: list[CardFacts] = []
    slices = _slices_by_card(listing)
    for number, card in enumerate(cards):
        found += [CardFacts(f"{card.name} {name}") for name in slices.get(number, ())] or [card]
    return tuple(found)


def pci_tpus(bus: Path = _PCI) -> tuple[CardFacts, ...]:
    """Find TPU chips on the PCI bus by Google's vendor id."""
    found = []
    for place in sorted(bus.iterdir()) if bus.exists() else ():
        vendor, device, subsystem = (_text(place / name) for name in ("vendor", "device", "subsystem_device"))
        name = _TPU_CHIPS.get(device) or _TPU_CHIPS.get(f"{device}/{subsystem}")
        if vendor == _GOOGLE and name:
            found.append(CardFacts(name))
    return tuple(found)


def card_of_torch(properties: Any) -> CardFacts:
    """Read what `torch.cuda.get_device_properties` (CUDA or ROCm) says; older versions lack the clocks."""
    gfx = str(getattr(properties, "gcnArchName", "") or "")
    memory_clock, bus = (getattr(properties, name, 0) for name in ("memory_clock_rate", "memory_bus_width"))
    clock = getattr(properties, "clock_rate", 0)
    return CardFacts(
        name=properties.name,
        memory_bytes=int(properties.total_memory),
        units=int(properties.multi_processor_count),
        capability=gfx.split(":")[0] if gfx.startswith("gfx") else f"{properties.major}.{properties.minor}",
        clock_hz=clock * 1e3 or None,
        memory_bandwidth_bytes_per_s=memory_clock * 1e3 * bus / 8 * 2 or None,
    )


def cards_that_torch_lists(torch: Any) -> Iterator[CardFacts]:
    """Yield what torch says of each CUDA, ROCm, Intel and Apple device."""
    for number in range(torch.cuda.device_count()):
        yield card_of_torch(torch.cuda.get_device_properties(number))
    if torch.xpu.is_available():
        for number in range(torch.xpu.device_count()):
            properties = torch.xpu.get_device_properties(number)
            yield CardFacts(properties.name, int(properties.total_memory), int(properties.gpu_eu_count))
    if torch.backends.mps.is_available():
        yield from _apple_gpu()


def _apple_gpu() -> tuple[CardFacts, ...]:
    """Return the GPU of an Apple chip, which bears the chip's name."""
    if platform.system() != "Darwin" or platform.machine() != "arm64":
        return ()
    name = read_cpu().name
    return (CardFacts(name),) if name.startswith("Apple M") else ()


def _smi_card(line: str) -> CardFacts:
    name, memory, power, capability, clock = (cell.strip() for cell in line.split(","))
    mib, watts, mhz = (_number(text) for text in (memory, power, clock))
    return CardFacts(
        name=name,
        memory_bytes=None if mib is None else round(mib * 2**20),
        power_limit_w=watts,
        capability=capability,
        clock_hz=None if mhz is None else mhz * 1e6,
    )


def _slices_by_card(listing: str) -> dict[int, list[str]]:
    """Read "GPU 0: NVIDIA A100 ..." and, indented below it, "MIG 1g.10gb Device 0: (UUID ...)"."""
    slices: dict[int, list[str]] = {}
    card = -1
    for line in listing.splitlines():
        if line.startswith("GPU "):
            card = int(line[4:].partition(":")[0])
        elif line.strip().startswith("MIG "):
            slices.setdefault(card, []).append(" ".join(line.split()[:2]))
    return slices


def _run(*command: str) -> str:
    return subprocess.run(command, capture_output=True, text=True, timeout=10, check=True).stdout


def _number(text: str) -> float | None:
    try:
        return float(text)
    except ValueError:
        return None


def _text(path: Path) -> str:
    try:
        return path.read_text().strip()
    except OSError:
        return ""
