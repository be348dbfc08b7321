"""`flopcast models`: the names that MODEL may be."""

from __future__ import annotations

from typing import TYPE_CHECKING

import click

from estimator.cli.output import Answer, Output, output_options

if TYPE_CHECKING:
    from estimator.text.page import Page


@click.command("models")
@output_options
def command(output: Output) -> int:
    """List the models that have a name, with their published number of parameters.

    Your own model needs no name: path/to/file.py:function.
    """
    from profiles.models import names

    found = names()

    def text(page: Page) -> str:
        from estimator.text.models import model_list

        return model_list(page, found)

    output.show(Answer("models", text, results=lambda: found))
    return 0
