"""The memory of a step over its course as one line of text, and which modules hold most of it at the peak."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

import numpy as np

from hardware_db.units import format_bytes

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

    from profiles.model_profile import ModelProfile

BARS: Final = "▁▂▃▄▅▆▇█"
COLUMNS: Final = 60
HOLDERS: Final = 4


def curve_lines(profile: ModelProfile) -> list[tuple[str, str]]:
    """Return the lines under a profile: live bytes over the step by phase, and what is kept for the backward pass.

    Nothing where the profile has no record of memory.
    """
    table = profile.trace.live
    if not table.places:
        return []
    totals = table.live.sum(axis=1).astype(np.float64)
    phases = [phase for phase, _ in table.places]
    parts = [f"{phase} {bars(totals[[each == phase for each in phases]], totals.max(), _width(phases, phase))}"
             for phase in dict.fromkeys(phases)]  # fmt: skip
    lines = [("Course", " ".join(parts))]
    held = sorted(profile.trace.activation_bytes.items(), key=lambda item: -item[1])[:HOLDERS]
    if profile.mode == "train" and held and held[0][1]:
        told = [f"{format_bytes(size)} {path or 'outside of modules'}" for path, size in held if size]
        lines.append(("Kept", " · ".join(told) + "   (for the backward pass)"))
    return lines


def _width(phases: Sequence[str], phase: str) -> int:
    """Columns of a phase: its share of the moments, one at least."""
    return max(1, round(COLUMNS * phases.count(phase) / len(phases)))


def bars(values: NDArray[np.float64], highest: float, columns: int) -> str:
    """Draw values as bars against the highest of all; each column shows the largest of its stretch.

    >>> bars(np.array([1.0, 4.0, 8.0, 2.0]), 8.0, 4)
    '▁▄█▂'
    """
    stretches = np.array_split(values, min(columns, len(values)))
    levels = [max(1, int(np.ceil(len(BARS) * stretch.max() / highest))) if highest else 1 for stretch in stretches]
    return "".join(BARS[level - 1] for level in levels)
