"""Where an answer goes and in which form: stdout is the answer, stderr is talk."""

from __future__ import annotations

import contextlib
import csv
import functools
import io
import json
import math
import os
import sys
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, fields, is_dataclass
from datetime import date
from pathlib import Path
from typing import Any, Literal

import click

from estimator.cli.failures import Session
from estimator.text.page import Page
from hardware_db.errors import UsageError

SCHEMA = 1
Form = Literal["text", "json", "csv"]


@dataclass(frozen=True, slots=True)
class Answer:
    """What a command answers, ready for each form of output.

    text          renders the answer for people on a page of a given width
    results       one mapping or record a result, base units, the names of the Python API; made when they are asked for
    run           what was asked
    assumptions   what was assumed without being asked
    warnings      what the reader should know; on stderr in text and CSV
    rows          the rows of --csv, where they are not the results
    more          what else belongs into the JSON document
    """

    command: str
    text: Callable[[Page], str]
    results: Callable[[], Sequence[object]]
    run: Mapping[str, object] = field(default_factory=dict)
    assumptions: Sequence[str] = ()
    warnings: Sequence[str] = ()
    rows: Callable[[], Sequence[object]] | None = None
    more: Mapping[str, object] = field(default_factory=dict)

    def document(self) -> dict[str, object]:
        """Return the one JSON document of this answer."""
        return {
            "schema": SCHEMA,
            "command": self.command,
            "run": plain(self.run),
            "assumptions": list(self.assumptions),
            "results": plain(self.results()),
            "warnings": list(self.warnings),
            **plain(self.more),
        }


@dataclass(frozen=True, slots=True)
class Output:
    """The output options of one call."""

    form: Form = "text"
    path: Path | None = None
    quiet: bool = False
    verbose: bool = False
    color: bool | None = None

    def show(self, answer: Answer) -> None:
        """Print the answer or write it to the file; warnings go to stderr unless the JSON holds them."""
        if self.form != "json":
            for warning in answer.warnings:
                self.say(warning, label="Warning:")
        if self.path is None:
            page = Page.of_terminal(self.color)
            _print(self._render(answer, page), page.styled)
            return
        write_atomically(self.path, self._render(answer, Page()))
        self.say(f"Saved {self.path}")

    def say(self, message: str, label: str = "") -> None:
        """Print a line of talk on stderr; `--quiet` silences it."""
        if not self.quiet:
            prefix = click.style(label, fg="yellow", bold=True) + " " if label else ""
            click.echo(prefix + message, err=True, color=self.color)

    def _render(self, answer: Answer, page: Page) -> str:
        if self.form == "json":
            return json.dumps(answer.document(), indent=2, ensure_ascii=False, allow_nan=False) + "\n"
        if self.form == "csv":
            return csv_text((answer.rows or answer.results)())
        return answer.text(page).rstrip("\n") + "\n"


def _print(text: str, styled: bool) -> None:
    """Print an answer; a reader who leaves (`| head`) is not our failure, a full disk behind `>` is said."""
    try:
        click.echo(text, nl=False, color=styled)
    except BrokenPipeError:
        raise
    except OSError as error:
        raise UsageError(f"The answer cannot be written: {error.strerror or error}") from error


def plain(value: object) -> Any:
    """Turn records, dates, paths and numpy scalars into what JSON knows; "no figure" (nan, inf) becomes null."""
    if is_dataclass(value) and not isinstance(value, type):
        return {item.name: plain(getattr(value, item.name)) for item in fields(value)}
    if isinstance(value, Mapping):
        return {str(key): plain(item) for key, item in value.items()}
    if isinstance(value, Sequence) and not isinstance(value, str):
        return [plain(item) for item in value]
    if isinstance(value, set | frozenset):
        return sorted(value)
    if isinstance(value, date | Path):
        return str(value)
    if hasattr(value, "item"):
        return plain(value.item())
    if isinstance(value, float) and not math.isfinite(value):
        return None
    return value


def csv_text(results: Sequence[object]) -> str:
    """Return the results as CSV: every name in order of appearance, nested ones as "memory.parameter_bytes"."""
    rows = [dict(_cells(plain(row))) for row in results]
    names = list(dict.fromkeys(name for row in rows for name in row))
    text = io.StringIO()
    writer = csv.DictWriter(text, names, lineterminator="\n")
    writer.writeheader()
    writer.writerows(rows)
    return text.getvalue()


def _cells(row: Mapping[str, Any], prefix: str = "") -> Iterator[tuple[str, object]]:
    """Yield the cells of one row; lists of plain values are joined, lists of records are JSON."""
    for name, value in row.items():
        if isinstance(value, dict):
            yield from _cells(value, f"{prefix}{name}.")
        elif isinstance(value, list):
            records = any(isinstance(item, list | dict) for item in value)
            yield prefix + name, json.dumps(value, ensure_ascii=False) if records else "; ".join(map(str, value))
        else:
            yield prefix + name, value


def write_atomically(path: Path, text: str) -> None:
    """Write a file whole or not at all: a reader never sees half of it, a failure leaves the old one.

    Raises
    ------
    UsageError
        The folder is missing or cannot be written to, or the disk is full.
    """
    special = path.exists() and not path.is_file()  # /dev/stdout, a named pipe: nothing to replace
    place = path if special else path.with_name(f".{path.name}.{os.getpid()}")
    try:
        place.write_text(text, encoding="utf-8")
        if not special:
            os.replace(place, path)
    except OSError as error:
        if not special:
            with contextlib.suppress(OSError):  # also where its folder is none
                place.unlink()
        raise UsageError(f"-o {path} cannot be written: {error.strerror or error}") from error


def output_options(command: Callable[..., int]) -> Callable[..., int]:
    """Add the output options that every command has; the command receives them as one `output`."""

    @functools.wraps(command)
    def wrapped(*args: Any, as_json: bool, as_csv: bool, path: Path | None, **parameters: Any) -> int:
        if as_json and as_csv:
            raise UsageError("--json and --csv: choose one")
        talk = {name: parameters.pop(name) for name in ("quiet", "verbose")}
        form: Form = "json" if as_json else "csv" if as_csv else "text"
        output = Output(form=form, path=path, color=_session().color, **talk)
        return command(*args, output=output, **parameters)

    for option in reversed(_OPTIONS):
        wrapped = option(wrapped)
    return wrapped


def _session() -> Session:
    context = click.get_current_context()
    return context.find_object(Session) or Session()


def _note_debug(context: click.Context, _parameter: click.Parameter, wanted: bool) -> None:
    if wanted:
        (context.find_object(Session) or Session()).debug = True


def _note_color(context: click.Context, _parameter: click.Parameter, unwanted: bool) -> None:
    if unwanted or os.environ.get("NO_COLOR"):
        context.color = (context.find_object(Session) or Session()).color = False


_PATH = click.Path(dir_okay=False, path_type=Path)
_FLAG: dict[str, Any] = {"is_flag": True, "is_eager": True, "expose_value": False}
_OPTIONS = (
    click.option("--json", "as_json", is_flag=True, help="Print one JSON document (base units, names of the API)."),
    click.option("--csv", "as_csv", is_flag=True, help="Print the rows as CSV."),
    click.option("-o", "--output", "path", type=_PATH, metavar="FILE", help="Write to FILE instead of the screen."),
    click.option("-q", "--quiet", is_flag=True, help="No progress, hints or warnings."),
    click.option("-v", "--verbose", is_flag=True, help="Show assumptions and formulas."),
    click.option("--debug", callback=_note_debug, help="Show the traceback of a failure.", **_FLAG),
    click.option("--no-color", callback=_note_color, help="No colour (also: NO_COLOR=1).", **_FLAG),
)


def is_terminal() -> bool:
    """Whether a person is watching stderr, so that progress may be drawn there."""
    return sys.stderr.isatty()
