"""The reference of the command line, made from `--help`: `python -m estimator.cli.reference > docs/cli.md`."""

from __future__ import annotations

from collections.abc import Iterator

import click

WIDTH = 100
HEAD = """\
# Command line

Made from `flopcast --help`; do not edit: `python -m estimator.cli.reference > docs/cli.md`.

| | |
| --- | --- |
| answer | stdout is the answer, stderr is progress, warnings and errors |
| `--json` | one document and nothing else: `{"schema": 1, "command", "run", "assumptions", "results", "warnings"}`, \
base units, the names of the Python API ([schemas](json.md)) |
| `--csv` | one row a result; of `flopcast profile` one row of its table |
| exit code | 0 answered · 1 answered "no" (it fits nowhere, nothing matches, a limit is exceeded) · \
2 could not answer · 130 interrupted |
| amounts | `10B`, `1.5T`, `80GB`, `16GiB`, `3d`, `36h`, `$500`; precisions `bf16`, `fp16`, `amp`, `float32` ... |
| colour | on a terminal only; off with `--no-color` or `NO_COLOR=1` |
| width | tables are made for 120 columns and leave out columns on narrower pages |
| completion | bash: `eval "$(_FLOPCAST_COMPLETE=bash_source flopcast)"`; also zsh, fish; models, devices, places |
"""


def reference() -> str:
    """Return the whole page."""
    from estimator.cli import main

    return "\n".join([HEAD, *_sections(main, click.Context(main, info_name="flopcast", **main.context_settings))])


def _sections(command: click.Command, context: click.Context) -> Iterator[str]:
    context.terminal_width = context.max_content_width = WIDTH
    yield f"## {context.command_path}\n\n```text\n{command.get_help(context)}\n```\n"
    if isinstance(command, click.Group):
        for name, inner in command.commands.items():
            yield from _sections(inner, click.Context(inner, info_name=name, parent=context))


if __name__ == "__main__":
    print(reference(), end="")
