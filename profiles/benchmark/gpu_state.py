"""What a card says of itself while it is measured: clock, temperature, power, why it slows down, who else is on it."""

from __future__ import annotations

import subprocess
from dataclasses import dataclass

FIELDS = (
    "clocks.sm",
    "clocks.max.sm",
    "temperature.gpu",
    "power.draw",
    "power.limit",
    "clocks_event_reasons.hw_thermal_slowdown",
    "clocks_event_reasons.sw_thermal_slowdown",
    "clocks_event_reasons.sw_power_cap",
    "clocks_event_reasons.hw_power_brake_slowdown",
)
HEAT, POWER = "heat", "its power limit"
_REASONS = dict(zip(FIELDS[5:], (HEAT, HEAT, POWER, POWER), strict=True))


@dataclass(frozen=True, slots=True)
class GpuState:
    """One look at a card; None where the driver does not say. `slowed_by` are the reasons to clock down."""

    clock_mhz: float | None
    highest_clock_mhz: float | None
    temperature_c: float | None
    power_w: float | None
    power_limit_w: float | None
    slowed_by: tuple[str, ...]
    other_processes: int = 0


def look(card: str, own_pid: int) -> GpuState | None:
    """Ask nvidia-smi about a card, by its UUID; None where it does not answer (no NVIDIA driver, a slice of a card)."""
    try:
        state = _ask(card, f"--query-gpu={','.join(FIELDS)}")
        users = _ask(card, "--query-compute-apps=pid")
    except (OSError, subprocess.SubprocessError):
        return None
    return parse(state, users, own_pid)


def parse(state: str, users: str, own_pid: int) -> GpuState:
    """Read a line of `FIELDS` and the list of process ids that use the card.

    In a container nvidia-smi shows no processes, or ids of the host's, so the first one is taken for this program.
    """
    cells = [cell.strip() for cell in state.strip().split(",")]
    clock, highest, heat, power, limit = (_number(cell) for cell in cells[:5])
    reasons = [_REASONS[name] for name, cell in zip(FIELDS[5:], cells[5:], strict=False) if cell == "Active"]
    pids = [line.strip() for line in users.splitlines() if line.strip().isdigit()]
    others = len([pid for pid in pids if pid != str(own_pid)]) if str(own_pid) in pids else max(0, len(pids) - 1)
    return GpuState(clock, highest, heat, power, limit, tuple(dict.fromkeys(reasons)), others)


def remarks(state: GpuState | None) -> list[str]:
    """Return what a reader should know of a look taken under load, each with its remedy."""
    if state is None:
        return []
    said = []
    clock = "" if state.clock_mhz is None else f" to {state.clock_mhz:.0f} MHz"
    if HEAT in state.slowed_by:
        said.append(f"the card slowed down{clock} because of heat ({state.temperature_c} °C): let it cool, clean it")
    if POWER in state.slowed_by:
        said.append(
            f"the card slowed down{clock} because of its power limit: that is what it sustains; "
            "nvidia-smi -pl raises the limit where the card allows it"
        )
    if state.other_processes:
        said.append(f"{state.other_processes} other processes use the card: stop them and measure again")
    return said


def _ask(card: str, query: str) -> str:
    command = ["nvidia-smi", f"--id={card}", query, "--format=csv,noheader,nounits"]
    return subprocess.run(command, capture_output=True, text=True, timeout=10, check=True).stdout


def _number(cell: str) -> float | None:
    try:
        return float(cell)
    except ValueError:
        return None
