"""JSON Schemas of the documents that `--json` prints: one for each command, draft 2020-12, shipped and published.

    from estimator.schemas import schema_of
    jsonschema.validate(json.loads(text), schema_of("estimate"))

Each is written from the types of this package by `python -m estimator.schemas`: a field that a document has and its
schema has not is an error, so is a field that is missing. A document's `schema` is the version: it grows when a field
is renamed, taken away or means something else; new fields may come without that.
"""

from __future__ import annotations

import json
from importlib.resources import files
from typing import Any

from hardware_db.errors import UsageError


def schema_of(command: str) -> dict[str, Any]:
    """Return the JSON Schema of a command's document: "estimate", "prices history".

    Raises
    ------
    UsageError
        there is no such command
    """
    name = file_of(command)
    found = files("estimator.schemas").joinpath(name)
    if not found.is_file():
        raise UsageError(f"No command {command!r} has a JSON Schema")
    schema: dict[str, Any] = json.loads(found.read_text(encoding="utf-8"))
    return schema


def file_of(command: str) -> str:
    """Return the name of the file of a command's schema."""
    return f"{command.replace(' ', '-')}.json"
