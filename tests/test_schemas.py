"""What `--json` prints is what the published schemas say; that each document keeps to its own, conftest.py watches."""

import json
from pathlib import Path

import click
import pytest
from click.testing import CliRunner
from jsonschema import Draft202012Validator, ValidationError

from estimator.cli import main
from estimator.schemas import file_of, schema_of
from estimator.schemas.build import DOCUMENTS, schemas
from hardware_db.errors import UsageError

DOCS = Path(__file__).parents[1] / "docs"
QUESTIONS = {
    "profile": "profile mnist-cnn",
    "profile operators": "profile mnist-cnn --by operator",
    "profile compare": "profile mnist-cnn --compare mnist-cnn",
    "estimate": "estimate mnist-cnn --samples 1M --hardware l4,t4 --limit 2",
    "advise": "advise mnist-cnn --samples 1M --hardware l4 --budget 5 --spot",
    "compare": "compare mnist-cnn@l4 mnist-cnn@t4 --samples 1M",
    "campaign": "campaign mnist-cnn --samples 1M --hardware l4 --method asha --trials 9 --retrain month",
    "buy": "buy rtx-4090",
    "fit": "fit mnist-cnn --device l4",
    "fit generation": "fit gpt2 --device l4 --generation",
    "plan": "plan mnist-cnn --hardware l4 --count 2 --batch-size 64",
    "plan export": "plan mnist-cnn --hardware l4 --count 2 --batch-size 64 --export torchrun",
    "serve": "serve mnist-cnn --hardware l4",
    "hardware": "hardware l4 t4",
    "hardware of one": "hardware l4",
    "models": "models",
    "detect": "detect",
    "doctor": "doctor",
    "prices history": "prices history l4",
    "db info": "db info",
}


def commands(group: click.Group, path: tuple[str, ...] = ()) -> list[tuple[str, click.Command]]:
    found = []
    for name, command in group.commands.items():
        if isinstance(command, click.Group):
            found += commands(command, (*path, name))
        else:
            found.append((" ".join((*path, name)), command))
    return found


def test_every_command_that_answers_in_json_has_a_schema():
    answering = {name for name, command in commands(main) if any(each.name == "as_json" for each in command.params)}
    assert answering == set(DOCUMENTS)
    assert {name for name, _ in commands(main)} - answering == {"dashboard"}


@pytest.mark.parametrize("command", DOCUMENTS)
def test_a_schema_is_of_the_draft_that_it_names_and_known_in_the_docs(command):
    Draft202012Validator.check_schema(schema_of(command))
    assert f"(../estimator/schemas/{file_of(command)})" in (DOCS / "json.md").read_text(encoding="utf-8")


def test_the_shipped_schemas_are_those_of_the_types():
    stale = [command for command, schema in schemas() if schema != schema_of(command)]
    assert not stale, f"run python -m estimator.schemas: {stale}"


@pytest.mark.parametrize("words", QUESTIONS.values(), ids=QUESTIONS)
def test_an_answer_keeps_to_its_schema(words):
    done = CliRunner().invoke(main, [*words.split(), "--json"])
    assert done.exit_code in (0, 1) and (done.exception is None or isinstance(done.exception, SystemExit))
    document = json.loads(done.stdout)
    Draft202012Validator(schema_of(document["command"])).validate(document)


def changed(change) -> dict:
    document = json.loads(CliRunner().invoke(main, ["buy", "rtx-4090", "--json"]).stdout)
    change(document)
    return document


@pytest.mark.parametrize(
    ("change", "said"),
    [
        (lambda document: document["results"][0].update(colour="red"), "'colour' was unexpected"),
        (lambda document: document.update(more=1), "'more' was unexpected"),
        (lambda document: document["results"][0].pop("buy"), "'buy' is a required property"),
        (lambda document: document["results"][0].update(buy="yes"), "is not of type 'boolean'"),
        (lambda document: document.update(schema=2), "1 was expected"),
        (lambda document: document["results"][0]["purchase"].update(pue=1), "'pue' was unexpected"),
    ],
)
def test_a_field_that_is_new_gone_or_of_another_type_is_refused(change, said):
    with pytest.raises(ValidationError, match=said):
        Draft202012Validator(schema_of("buy")).validate(changed(change))


def test_units_are_said():
    row = schema_of("estimate")["$defs"]["EstimateRow"]["properties"]
    assert (row["step_time_s"]["description"], row["peak_memory_bytes"]["description"]) == ("seconds", "bytes")
    assert (
        row["usd_per_hour"]["description"] == row["cost_usd_high"]["description"] + " an hour" == "US dollars an hour"
    )


def test_an_unknown_command_has_none():
    with pytest.raises(UsageError, match="No command 'dashboard' has a JSON Schema"):
        schema_of("dashboard")
