"""Figures as people read them, written as the command line's tables write them."""

from __future__ import annotations

from typing import TYPE_CHECKING

from estimator.text.figures import DURATION, MONEY, share, span, two_digits
from hardware_db.units import format_duration, format_usd

if TYPE_CHECKING:
    from estimator.result import Estimate

UNKNOWN = "unknown"


def hardware_of(row: Estimate) -> str:
    """Return "8× tpu-v5e"; where a machine has more devices than are used, "1× h100-sxm (of 8)"."""
    paid = f" (of {row.count + row.idle_devices})" if row.idle_devices else ""
    return f"{row.count}× {row.device.id}{paid}"


def provider_of(row: Estimate) -> str:
    """Return "aws us-east-1", or that nobody rents it out."""
    return f"{row.offer.provider} {row.offer.region}" if row.offer else "nobody rents it out"


def cost_of(row: Estimate) -> str:
    """Return the cost of the run."""
    return format_usd(row.cost_usd) if row.cost else UNKNOWN


def cost_range(row: Estimate) -> str:
    """Return "range $6.10-14"."""
    return f"range ${span(row.cost, MONEY)[1]}{span(row.cost, MONEY)[0].lstrip('0123456789.,')}" if row.cost else ""


def time_of(row: Estimate) -> str:
    """Return the run time."""
    return format_duration(row.run_time_s) if row.run_time else UNKNOWN


def time_range(row: Estimate) -> str:
    """Return "range 3.2-7.9 d"."""
    if row.run_time is None:
        return ""
    middle, ends = span(row.run_time, DURATION)
    return f"range {ends} {middle.split(' ', 1)[1]}"


def memory_of(row: Estimate) -> str:
    """Return what a device must hold at the peak."""
    return UNKNOWN if row.peak_memory_bytes is None else f"{two_digits(row.peak_memory_bytes, 2**30)} GiB"


def capacity_of(row: Estimate) -> str:
    """Return what the device has."""
    return "capacity unknown" if row.memory_bytes is None else f"of {two_digits(row.memory_bytes, 2**30)} GiB"


def memory_pair(row: Estimate) -> str:
    """Return "8.5/24", needed and there, in GiB."""
    return f"{two_digits(row.peak_memory_bytes, 2**30)}/{two_digits(row.memory_bytes, 2**30)}"


def utilisation_of(row: Estimate) -> str:
    """Return the model FLOPs utilisation."""
    return UNKNOWN if row.mfu is None else share(row.mfu)


def rounded(value: float | None) -> float | None:
    """Return a figure with three significant digits, still a number, for columns that sort."""
    return None if value is None else float(f"{value:.3g}")


def escaped(text: str) -> str:
    """Keep dollar signs from being read as mathematics where a page takes Markdown."""
    return text.replace("$", r"\$")


def told(row: Estimate) -> str:
    """Return one option in words: "8× tpu-v5e of gcp us-west1, $9.32 in 4.85 d"."""
    return f"{hardware_of(row)} of {provider_of(row)}, {cost_of(row)} in {time_of(row)}"
