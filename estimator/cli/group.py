"""A click group whose failures are messages: `Error: ...` on stderr and an exit code, never a raw traceback."""

from __future__ import annotations

import os
import sys
from collections.abc import Sequence
from typing import Any

import click

from estimator.cli.failures import Session, exit_code, report


class CommandGroup(click.Group):
    """The boundary between the library's exceptions and the person at the terminal."""

    def main(
        self,
        args: Sequence[str] | None = None,
        prog_name: str | None = None,
        complete_var: str | None = None,
        standalone_mode: bool = True,
        **extra: Any,
    ) -> Any:
        """Run a command and exit: 0 answered, 1 answered "no", 2 could not answer, 130 interrupted."""
        session = Session()
        extra.setdefault("obj", session)
        run = super().main
        if not standalone_mode:
            return run(args, prog_name, complete_var, standalone_mode=False, **extra)
        try:
            code = run(args, prog_name, complete_var, standalone_mode=False, **extra)
        except Exception as error:  # the one place where everything unforeseen ends
            report(error, session)
            sys.exit(exit_code(error))
        sys.exit(code or 0)

    def list_commands(self, ctx: click.Context) -> list[str]:
        """Return the commands in the order they were added: what people ask first comes first."""
        return list(self.commands)

    def invoke(self, ctx: click.Context) -> Any:
        """Run the subcommand; that the reader of a pipe has seen enough (`| head`) is no failure."""
        try:
            code = super().invoke(ctx)
            sys.stdout.flush()
            return code
        except BrokenPipeError:
            _silence_stdout()
            return 0


def _silence_stdout() -> None:
    """Let the interpreter's last flush go nowhere."""
    os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
