"""A report as HTML, one file with everything in it, or as Markdown without the plots."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from html import escape
from pathlib import Path
from typing import TYPE_CHECKING, Final

from hardware_db.errors import UsageError

if TYPE_CHECKING:
    from estimator.report.content import Report, Row, Section

STYLE: Final = (
    ":root{color-scheme:light dark}body{font:16px/1.5 system-ui,sans-serif;max-width:60rem;margin:2rem auto;"
    "padding:0 1rem}.answer{font-size:1.25rem;border-left:4px solid #009e73;padding-left:1rem}"
    "table{border-collapse:collapse;font-size:.85rem}td,th{padding:.2rem .6rem;border-bottom:1px solid #8886;"
    "text-align:left;vertical-align:top}.scroll{overflow-x:auto}svg{width:100%;height:auto;font-size:12px}"
    "svg text{fill:currentColor}.grid{stroke:#8884}.range{stroke:#8889;stroke-width:1.5}"
)


def html(report: Report) -> str:
    """Return the page: no script, no file, no network."""
    body = "".join(part for section in report.sections for part in _html_section(section))
    title = escape(report.title)
    return (
        f'<!doctype html>\n<html lang="en"><head><meta charset="utf-8">'
        f'<meta name="viewport" content="width=device-width"><title>{title}</title><style>{STYLE}</style></head>\n'
        f'<body><h1>{title}</h1><p class="answer">{escape(report.sentence)}</p>\n{body}</body></html>\n'
    )


def _html_section(section: Section) -> Iterator[str]:
    yield f"<h2>{escape(section.title)}</h2>{section.chart}"
    if section.lines:
        yield f"<ul>{''.join(f'<li>{escape(line)}</li>' for line in section.lines)}</ul>"
    if section.rows:
        rows = "".join(_html_row(row, "td") for row in section.rows)
        yield f'<div class="scroll"><table>{_html_row(section.head, "th")}{rows}</table></div>\n'


def _html_row(cells: Row, tag: str) -> str:
    return f"<tr>{''.join(f'<{tag}>{escape(cell)}</{tag}>' for cell in cells)}</tr>"


def markdown(report: Report) -> str:
    """Return the same as Markdown, plots left out."""
    lines = [f"# {report.title}", "", f"**{report.sentence}**"]
    for section in report.sections:
        lines += ["", f"## {section.title}", "", *(f"- {line}" for line in section.lines)]
        if section.rows:
            gap = [""] if section.lines else []
            lines += [*gap, _markdown_row(section.head), f"|{' --- |' * len(section.head)}"]
            lines += map(_markdown_row, section.rows)
    return "\n".join(lines) + "\n"


def _markdown_row(cells: Row) -> str:
    return f"| {' | '.join(cell.replace('|', chr(92) + '|') for cell in cells)} |"


FORMS: Final[Mapping[str, Callable[[Report], str]]] = {".html": html, ".htm": html, ".md": markdown}
"""Suffix of a file -> what writes it."""


def written(report: Report, path: Path) -> str:
    """Return the report as the file of this name holds it.

    Raises
    ------
    UsageError
        a file that is neither HTML nor Markdown
    """
    form = FORMS.get(path.suffix.lower())
    if form is None:
        raise UsageError(f"--report {path}: give a file that ends with {', '.join(FORMS)}")
    return form(report)
