"""`flopcast benchmark`: how fast this machine really is."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from estimator.cli import completion
from estimator.cli.benchmark_loader import time_dataloader
from estimator.cli.benchmark_memory import measured_memory
from estimator.cli.benchmark_run import INTERRUPTED, Ask, Measured, run, targets_of
from estimator.cli.doctor import installed_torch
from estimator.cli.model_options import SIZE, ModelQuestion, model_options
from estimator.cli.output import Answer, Output, output_options, plain
from estimator.cli.quantities import read_as
from hardware_db.errors import MissingExtra, UsageError

if TYPE_CHECKING:
    from estimator.text.page import Page
    from profiles.benchmark.drift import FamilyDrift
    from profiles.benchmark.target import Target
    from profiles.machine_profile import MachineProfile, Timing

FILE = click.Path(exists=True, dir_okay=False, path_type=Path)
NO = 1


@click.command("benchmark")
@click.option("--device", metavar="NAME", help="cpu, cuda, cuda:1 or all; default: the first card, else the cpu.")
@click.option("--full", is_flag=True, help="More shapes and precisions, more repeats: up to 5 minutes.")
@click.option(
    "--precision",
    shell_complete=completion.precision,
    callback=read_as("precision"),
    help="Time this precision alone, beside float32.",
)
@click.option("--seconds", type=click.FloatRange(min=1), metavar="N", help="Time to take; default: 45, --full 240.")
@click.option(
    "--model", metavar="MODEL", shell_complete=completion.model, help="Time training steps of a model as well."
)
@click.option(
    "--memory",
    metavar="MODEL",
    shell_complete=completion.model,
    help="Measure the memory of a training step of a model instead.",
)
@click.option("--dataloader", metavar="FILE.py:FUNC", help="Time the data loader that a function returns instead.")
@click.option("--batch-size", **SIZE, help="Samples of the model's step; default: the model's own.")
@model_options("sequence_length", "image_size", "optimizer", "inputs")
@click.option("--check", type=FILE, metavar="FILE", help="Compare with a profile; exit 1 if over 10 % slower.")
@click.option("--import", "imported", type=FILE, metavar="FILE", help="Use a profile of another machine.")
@click.option(
    "--forget", metavar="DEVICE", shell_complete=completion.device, help="Remove your profiles of a device (its id)."
)
@output_options
def command(output: Output, imported: Path | None, forget: str | None, memory: str | None, **options: Any) -> int:
    """Time this machine's processor or card; estimates for it use the result from then on.

    -o FILE also writes the machine profile to a file, to share it (--import) or to check against it (--check).
    Exit code 1: --check found the machine more than 10 % slower. Ctrl-C keeps what was measured.
    """
    if imported is not None:
        return _import(imported, output)
    if forget is not None:
        return _forget(forget, output)
    if (loader := options.pop("dataloader")) is not None:
        return time_dataloader(loader, options["seconds"], output)
    torch = installed_torch()
    if torch is None:
        raise MissingExtra("flopcast benchmark runs on torch, which is not installed: pip install 'flopcast[profile]'")
    ask = _ask(options)
    if memory is not None:
        return _memory(replace(ask, model=_question(memory, options)), torch, output)
    then, chosen = _load(options["check"]), targets_of(ask.device, torch)
    _check_before(chosen, then, output)
    return _answer(list(run(ask, chosen, output)), then, output)


def _check_before(chosen: Sequence[Target], then: MachineProfile | None, output: Output) -> None:
    """Refuse what cannot be compared or saved before minutes are spent on measuring."""
    from profiles.benchmark.drift import check_alike

    if output.path is not None and output.form == "text" and len(chosen) > 1:
        raise UsageError(f"-o {output.path} holds one machine profile, not {len(chosen)}. Name one device: --device")
    for target in chosen if then is not None else ():
        assert then is not None
        check_alike(target.machine, then.machine)


def _ask(options: dict[str, Any]) -> Ask:
    model = options["model"]
    return Ask(
        device=options["device"],
        full=options["full"],
        precision=options["precision"],
        seconds=options["seconds"],
        model=None if model is None else _question(model, options),
    )


def _question(model: str, options: dict[str, Any]) -> ModelQuestion:
    names = ("precision", "optimizer", "batch_size", "sequence_length", "image_size", "inputs")
    return ModelQuestion(model, **{name: options[name] for name in names})


def _load(path: Path | None) -> MachineProfile | None:
    if path is None:
        return None
    from profiles.machine_profile import MachineProfile

    return MachineProfile.load(path)


def _answer(measured: list[Measured], then: MachineProfile | None, output: Output) -> int:
    """Keep, save, compare and show what was measured; return the exit code."""
    from profiles.benchmark.library import keep

    shown = [_Shown(each, keep(each.profile), _drifts(each.profile, then)) for each in measured]
    if output.path is not None and output.form == "text":
        measured[0].profile.save(output.path)
        output.say(f"Saved {output.path}")
        output = replace(output, path=None)
    answer = Answer(
        "benchmark",
        lambda page: "\n".join(_text(page, each, then) for each in shown),
        lambda: [_record(each) for each in shown],
        rows=lambda: [_row(each, timing) for each in measured for timing in each.profile.timings],
    )
    output.show(answer)
    if any(drift.slower for each in shown for drift in each.drifts):
        return NO
    return INTERRUPTED if any(each.interrupted for each in measured) else 0


@dataclass(frozen=True, slots=True)
class _Shown:
    measured: Measured
    name: str
    drifts: tuple[FamilyDrift, ...]


def _drifts(now: MachineProfile, then: MachineProfile | None) -> tuple[FamilyDrift, ...]:
    from profiles.benchmark.drift import drifts

    return () if then is None else drifts(now, then)


def _text(page: Page, shown: _Shown, then: MachineProfile | None) -> str:
    from estimator.text.benchmark import benchmark_text, drift_text

    profile = shown.measured.profile
    device = profile.machine.device
    step = shown.measured.step
    said = [] if step is None else [("Predicted", str(step))]
    said += [("Kept", f"as {shown.name}; {_use(profile)}"), *(("Note", note) for note in profile.notes)]
    if device:
        said.append(("Undo", f"flopcast benchmark --forget {device}"))
    text = benchmark_text(page, profile, shown.measured.device, said)
    return text if then is None else f"{text}\n{drift_text(page, shown.drifts, profile, then)}"


def _use(profile: MachineProfile) -> str:
    """Return what becomes of a profile."""
    from profiles.benchmark.library import only_collectives, usable

    device = profile.machine.device
    if device is None:
        return "the hardware database has no row for this device, so no estimate uses it"
    if only_collectives(profile):
        return f"estimates for several {device} now use these collectives"
    if not usable(profile):
        return "too little was measured for estimates to use it: give it more --seconds"
    if not profile.whole:
        return f"estimates for {device} now use it for what no whole profile of yours says"
    return f"estimates for {device} now use it"


def _record(shown: _Shown) -> dict[str, Any]:
    """Return what --json says of one device: its profile with all raw times, and how it compares."""
    profile = shown.measured.profile
    return {"name": shown.name, **plain(profile), "drifts": shown.drifts, "step": plain(shown.measured.step)}


def _row(measured: Measured, timing: Timing) -> dict[str, Any]:
    names = ("name", "family", "precision", "typical_s", "median_s", "spread", "flops_per_s", "bytes_per_s", "stable")
    return {"device": measured.profile.machine.device, **{name: getattr(timing, name) for name in names}}


def _memory(ask: Ask, torch: Any, output: Output) -> int:
    found = measured_memory(ask, torch, output)

    def text(page: Page) -> str:
        from estimator.text.benchmark import memory_lines

        return page.render(*memory_lines(found))

    output.show(Answer("benchmark", text, lambda: [found], run={"model": found.model, "device": found.device}))
    return 0


def _import(path: Path, output: Output) -> int:
    from hardware_db.here import load_here
    from profiles.benchmark.library import device_name, keep
    from profiles.benchmark.plausible import refuse_impossible
    from profiles.machine_profile import MachineProfile

    profile = MachineProfile.load(path)
    if not profile.timings:
        raise UsageError(f"{path} holds no timings: nothing to use. Benchmark again")
    refuse_impossible(profile, load_here(needs_own=False).database, str(path))
    name = keep(profile)
    device = device_name(profile.machine)
    _say(
        "import",
        f"Kept as {name}; {_use(profile)}. Undo: flopcast benchmark --forget {device}",
        output,
    )
    return 0


def _forget(device: str, output: Output) -> int:
    from profiles.benchmark.library import forget

    removed = forget(device)
    if not removed:
        raise UsageError(f"--forget {device}: you have no machine profile of it. flopcast hardware {device} lists them")
    _say("forget", f"Removed {removed} machine profile{'s' * (removed > 1)} of {device}", output)
    return 0


def _say(done: str, sentence: str, output: Output) -> None:
    output.show(Answer("benchmark", lambda page: page.render(sentence), lambda: [{"done": done, "said": sentence}]))
