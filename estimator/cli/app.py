"""The command `flopcast` and what it can be asked."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from importlib import import_module

import click

from estimator.cli.group import CommandGroup
from estimator.cli.version import version_option

EPILOG = (
    "MODEL is a name (flopcast models lists them), path/to/file.py:function, package.module:function, a Hugging Face "
    "config.json, hf:llama,num_hidden_layers=16 or a saved profile.json."
)

MODULES = {
    "profile": "profile",
    "benchmark": "benchmark",
    "estimate": "estimate",
    "advise": "advise",
    "compare": "compare",
    "portfolio": "portfolio",
    "campaign": "campaign",
    "buy": "buy",
    "fit": "fit",
    "plan": "plan",
    "serve": "serve",
    "validate": "validate",
    "claims": "claims",
    "hardware": "hardware",
    "models": "models",
    "detect": "detect",
    "prices": "prices",
    "db": "store",
    "doctor": "doctor",
    "dashboard": "dashboard",
}
"""Module of each command in `estimator.cli`, in the order in which `--help` lists them."""


class LazyCommands(Mapping[str, click.Command]):
    """The commands by name; the module of one is imported when it is asked for."""

    def __getitem__(self, name: str) -> click.Command:
        command: click.Command = import_module(f"estimator.cli.{MODULES[name]}").command
        return command

    def __iter__(self) -> Iterator[str]:
        return iter(MODULES)

    def __len__(self) -> int:
        return len(MODULES)


@click.group(
    cls=CommandGroup,
    commands=LazyCommands(),
    context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 110},
    epilog=EPILOG,
)
@version_option
def main() -> None:
    """Know what a training run takes and costs, on any CPU, GPU or TPU, before you pay for it."""
