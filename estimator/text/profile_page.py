"""A profile as a page: the table that was asked for, the work by phase and the lines under them."""

from __future__ import annotations

import shlex
from dataclasses import replace
from typing import TYPE_CHECKING

from estimator.text.memory_curve import curve_lines
from estimator.text.notes import flow, notes
from estimator.text.page import Page
from profiles.display import headline, sheet_text, summary
from profiles.display_work import work_sheet
from profiles.sheets import Line, Sheet, costliest_sheet, group_sheet, module_sheet

if TYPE_CHECKING:
    from profiles.breakdown import Column
    from profiles.model_profile import ModelProfile


def profile_text(
    profile: ModelProfile, page: Page, by: Column | None = None, depth: int | None = None, top: int = 0
) -> str:
    """Return the table of modules, or of the operations grouped `by` a column, and what follows from it.

    Parameters
    ----------
    profile
        what is shown
    page
        columns of the table are left out where it is narrow
    by
        None for modules, else family, operator, phase, precision or source
    depth
        levels of the module tree; default as many as are readable
    top
        rows to keep, 0 for all; of the modules those that compute most
    """
    if by is not None:
        sheet = group_sheet(profile, by)
    else:
        sheet = costliest_sheet(profile, depth) if top else module_sheet(profile, depth)
    sheet = _first(sheet, top) if top else sheet
    footer = [*_with_curve(profile), ("Next", flow(_next(profile), page.width - 11))]
    work = sheet_text(work_sheet(profile), page.width)
    return page.render(headline(profile), "", sheet_text(sheet, page.width), "", work, "", notes(footer))


def _with_curve(profile: ModelProfile) -> list[tuple[str, str]]:
    """Return the lines under the tables, the course of memory after its peak."""
    lines = summary(profile)
    after = next((at for at, (name, _) in enumerate(lines, start=1) if name == "Memory"), len(lines))
    return [*lines[:after], *curve_lines(profile), *lines[after:]]


def _first(sheet: Sheet, top: int) -> Sheet:
    left = len(sheet.lines) - top
    if left <= 0:
        return sheet
    blank = ("",) * len(sheet.total.cells)
    return replace(sheet, lines=(*sheet.lines[:top], Line(f"…{left} more: --top 0", 0, blank)))


def _next(profile: ModelProfile) -> list[str]:
    model = shlex.quote(profile.model)
    if profile.mode != "train":
        return [f"flopcast profile {model}   (a training step)"]
    amount = "--tokens 10B" if profile.sequence_length else "--samples 100M"
    return [f"flopcast estimate {model} {amount}", "by operator: --by operator", "save: -o profile.json"]
