"""The command `flopcast` and what it can be asked."""

from __future__ import annotations

import click

from estimator.cli import (
    advise,
    benchmark,
    buy,
    campaign,
    claims,
    dashboard,
    detect,
    doctor,
    estimate,
    fit,
    hardware,
    models,
    plan,
    prices,
    profile,
    serve,
    store,
    validate,
)
from estimator.cli.group import CommandGroup
from estimator.cli.version import version_option

EPILOG = (
    "MODEL is a name (flopcast models lists them), path/to/file.py:function, package.module:function, a Hugging Face "
    "config.json, hf:llama,num_hidden_layers=16 or a saved profile.json."
)


@click.group(
    cls=CommandGroup,
    context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 110},
    epilog=EPILOG,
)
@version_option
def main() -> None:
    """Know what a training run takes and costs, on any CPU, GPU or TPU, before you pay for it."""


for _module in (
    profile,
    benchmark,
    estimate,
    advise,
    campaign,
    buy,
    fit,
    plan,
    serve,
    validate,
    claims,
    hardware,
    models,
    detect,
    prices,
    store,
    doctor,
    dashboard,
):
    main.add_command(_module.command)
