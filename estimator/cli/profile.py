"""`flopcast profile`: what a model computes and holds in memory."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any

import click

from estimator.cli import completion
from estimator.cli.model_options import ROWS, SIZE, TRAINED, ModelQuestion, find_profile, model_options, profile_file
from estimator.cli.output import Output, output_options
from estimator.cli.profile_answers import (
    View,
    comparison_answer,
    cross_check_answer,
    gate_answer,
    profile_answer,
    read_limits,
)
from hardware_db.errors import UsageError
from profiles.request import TARGETS

if TYPE_CHECKING:
    from profiles.model_profile import ModelProfile

BREAKDOWNS = ("module", "operator", "family", "phase", "precision", "source")
NO = 1


@click.command("profile")
@click.argument("model", shell_complete=completion.model)
@click.option("--batch-size", **SIZE, help="Samples of the step; default: the model's own.")
@model_options("sequence_length", *TRAINED, precision="float32 (default), bf16, fp16, amp, tf32 ...")
@click.option("--inference", is_flag=True, help="The forward pass alone, without gradients.")
@click.option("--device", type=click.Choice(TARGETS), help="Kind whose kernels are counted; default: cuda.")
@click.option("--by", type=click.Choice(BREAKDOWNS), default="module", help="Rows of the table; default: module.")
@click.option("--depth", **SIZE, help="Levels of the tree of modules.")
@click.option("--top", default=0, **ROWS, help="The rows that compute most; 0: all.")
@click.option(
    "--compare",
    "other",
    metavar="MODEL",
    shell_complete=completion.model,
    help="Set another model or saved profile beside it.",
)
@click.option("--baseline", metavar="PROFILE", help="Saved profile to compare with, for --fail-above.")
@click.option(
    "--fail-above", "limits", callback=read_limits, metavar="LIMITS", help="Exit 1 above flops=+2%,memory=+5%."
)
@click.option("--cross-check", is_flag=True, help="Count the forward pass with fvcore and torch as well.")
@output_options
def command(model: str, by: str, depth: int | None, top: int, output: Output, **options: Any) -> int:
    """Count what one step of MODEL computes, moves and holds in memory; no weights, no data, no GPU.

    A step is forward, loss, backward and optimizer. One multiply-add is 2 FLOPs. -o profile.json saves the profile:
    it answers other batch sizes, sequence lengths and image sizes at once, and is a MODEL itself.
    """
    other, baseline, limits = (options.pop(name) for name in ("other", "baseline", "limits"))
    cross_check = options.pop("cross_check")
    _only_one({"--compare": other, "--baseline": baseline or limits, "--cross-check": cross_check})
    question = ModelQuestion(model, "forward" if options.pop("inference") else None, **options)
    if cross_check:
        output.show(cross_check_answer(question, output))
        return 0
    saving = output.form == "text" and output.path is not None and not (other or baseline or limits)
    profile = find_profile(question, output, by_line=by == "source", to_save=saving)
    if other is not None:
        output.show(comparison_answer(profile, _beside(question, other, output)))
        return 0
    if baseline is not None or limits:
        answer, passed = gate_answer(profile, _baseline(baseline), limits)
        output.show(answer)
        return 0 if passed else NO
    if output.form == "text" and output.path is not None:
        profile.save(output.path)
        if output.quiet:
            return 0
        output.say(f"Saved {output.path}")
        output = replace(output, path=None)
    output.show(profile_answer(profile, View(None if by == "module" else by, depth, top)))  # type: ignore[arg-type]
    return 0


def _only_one(questions: dict[str, object]) -> None:
    asked = [option for option, value in questions.items() if value]
    if len(asked) > 1:
        raise UsageError(f"{' and '.join(asked)} are different questions: ask one at a time")


def _beside(question: ModelQuestion, other: str, output: Output) -> ModelProfile:
    """Return the profile to set beside: another model run in the same way, or a saved one as it was recorded."""
    if profile_file(other) is None:
        return find_profile(replace(question, model=other), output)
    sizes = {"batch_size": question.batch_size, "sequence_length": question.sequence_length}
    from profiles.model_profile import ModelProfile

    return ModelProfile.load(other).at(**sizes)


def _baseline(path: str | None) -> ModelProfile:
    if path is None:
        raise UsageError("--fail-above needs --baseline PROFILE; save one with flopcast profile MODEL -o baseline.json")
    found = profile_file(path)
    if found is None:
        raise UsageError(f"--baseline {path} is no saved profile; save one with flopcast profile MODEL -o {path}")
    from profiles.model_profile import ModelProfile

    return ModelProfile.load(found)
