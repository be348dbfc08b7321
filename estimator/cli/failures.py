"""What a failure looks like on stderr: a message for the reader, a traceback only where asked for."""

from __future__ import annotations

import sys
import traceback
from dataclasses import dataclass

import click

from hardware_db.errors import FlopcastError

INTERRUPTED = 130
COULD_NOT_ANSWER = 2

EXTRAS = {
    "torch": "profile",
    "fvcore": "profile",
    "transformers": "huggingface",
    "streamlit": "dashboard",
    "plotly": "dashboard",
    "joblib": "portfolio",
    "distributed": "portfolio",
    "ray": "portfolio",
}
"""Optional package -> the extra of flopcast that installs it."""


@dataclass(slots=True)
class Session:
    """What the options of a call say about its failures."""

    debug: bool = False
    color: bool | None = None


def exit_code(error: Exception) -> int:
    """Return the exit code of a failure: 130 interrupted, otherwise 2."""
    return INTERRUPTED if isinstance(error, click.Abort) else COULD_NOT_ANSWER


def report(error: Exception, session: Session) -> None:
    """Print a failure on stderr, with its traceback under --debug."""
    if session.debug and not isinstance(error, click.ClickException | click.Abort):
        traceback.print_exception(error, file=sys.stderr)
    if isinstance(error, click.Abort):
        click.echo("Interrupted", err=True)
        return
    if isinstance(error, click.exceptions.NoArgsIsHelpError):
        click.echo(error.format_message(), err=True, color=session.color)
        return
    label = click.style("Error:", fg="red", bold=True)
    click.echo(f"{label} {_message(error)}", err=True, color=session.color)


def _message(error: Exception) -> str:
    if isinstance(error, click.UsageError):
        return _usage_message(error)
    if isinstance(error, click.ClickException):
        return error.format_message()
    if isinstance(error, FlopcastError | OSError):
        return str(error)
    if isinstance(error, ModuleNotFoundError) and (error.name or "").partition(".")[0] in EXTRAS:
        package = (error.name or "").partition(".")[0]
        return f"This needs {package}, which is not installed: pip install 'flopcast[{EXTRAS[package]}]'"
    return (
        f"unexpected {type(error).__name__}: {error}\n"
        "This is a mistake in flopcast, not in your question. Run it with --debug and report the traceback."
    )


def _usage_message(error: click.UsageError) -> str:
    path = error.ctx.command_path if error.ctx else "flopcast"
    return f"{error.format_message()}\nOptions: {path} --help"
