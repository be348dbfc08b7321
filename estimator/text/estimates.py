"""What a run takes and costs, as a table: one line an offer, then what was assumed and what was left out."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import replace
from itertools import groupby
from typing import TYPE_CHECKING

from estimator.planned import faster_split
from estimator.text.figures import DURATION, ESTIMATED, MONEY, figure, price, share, span, two_digits
from estimator.text.notes import flow, notes
from estimator.text.page import Page
from estimator.text.table import MISSING, Column, Row, table
from estimator.whole_run.compute_optimal import SOURCE, compute_optimal_tokens
from hardware_db.units import format_count, format_flops

if TYPE_CHECKING:
    from rich.console import RenderableType

    from estimator.estimates import Estimates
    from estimator.result import Estimate
    from estimator.run import TrainingRun
    from estimator.whole_run import RunTime

LIMIT = 15
WHY_SHOWN = 3
WITHOUT_ANSWER = 3
NAMED = 3

COLUMNS = (
    Column("", align="left", gap=1),
    Column("HARDWARE", align="left"),
    Column("PROVIDER", align="left", drop=9),
    Column("REGION", align="left", drop=4),
    Column("$/H", drop=5),
    Column("STEP", drop=3),
    Column("RUN TIME", gap=1),
    Column("RANGE", drop=8),
    Column("DEVICE-H", drop=2),
    Column("COST", gap=1),
    Column("RANGE", drop=12),
    Column("kWh", drop=1),
    Column("MEM GiB", drop=10),
    Column("MFU", drop=11),
    Column("BOUND", align="left", drop=7),
    Column("BASIS", align="left", drop=13),
    Column("PRECISION", align="left", drop=6),
)
KINDS = {
    "precision": "precision not supported",
    "batch": "batch does not divide",
    "memory": "too little memory",
    "figures": "a needed figure is not published",
    "link": "network not known",
    "training": "made for inference only",
    "interruptions": "would be interrupted without checkpoints",
}
"""Kind of `why_not` -> what the devices have in common."""

SHORT_PRECISIONS = {"amp_bfloat16": "amp_bf16", "amp_float16": "amp_fp16"}
OPTIMIZERS = {"adamw": "AdamW", "adam": "Adam", "sgd": "SGD"}


def estimates_text(estimates: Estimates, page: Page | None = None, limit: int = LIMIT, sort: str = "cost") -> str:
    """Return the table of a question's answers, the best row first and marked.

    Parameters
    ----------
    estimates
        in the order to show
    page
        default a plain one of 120 columns
    limit
        rows to show, 0 for all; rows without an answer come after the others
    sort
        what "best" means, for the words
    """
    page = page or Page()
    shown = _shown(estimates, limit)
    rows = [_row(row, best=place == 0 and row.why_not is None) for place, row in enumerate(shown)]
    more = [f"   …{len(estimates) - len(shown)} more: --limit 0"] if len(estimates) > len(shown) else []
    lines = table(_columns(estimates, sort), rows, page.width)
    return page.render(_head(estimates.runs, page.width), "", *lines, *more, "", *_footer(estimates, shown, page.width))


def _shown(estimates: Estimates, limit: int) -> Sequence[Estimate]:
    """Return the rows to print; of too many the first, the best of every other kind, a few without an answer."""
    if not limit or len(estimates) <= limit:
        return estimates.rows
    answered = estimates.answered.rows[:limit]
    few = WITHOUT_ANSWER if answered else limit
    unanswered = estimates.unanswered.rows[: min(few, limit - len(answered))]
    return (*answered, *_best_of_other_kinds(estimates.answered, limit), *unanswered)


def _best_of_other_kinds(answered: Estimates, limit: int) -> Iterator[Estimate]:
    """Yield the best CPU, GPU or TPU that comes after the limit, so that every kind can be compared at a glance."""
    seen = {row.device.kind for row in answered.rows[:limit]}
    for row in answered.rows[limit:]:
        if row.device.kind not in seen:
            seen.add(row.device.kind)
            yield row


def _columns(estimates: Estimates, sort: str) -> Sequence[Column]:
    """Return the columns; what the rows are sorted by is never dropped, one precision for all is in the head."""
    columns = COLUMNS if len(estimates.runs) > 1 else COLUMNS[:-1]
    return [replace(each, drop=0) if sort == "energy" and each.header == "kWh" else each for each in columns]


def _head(runs: Sequence[TrainingRun], width: int) -> str:
    return flow(question_facts(runs), width)


def question_facts(runs: Sequence[TrainingRun]) -> list[str]:
    """Return what was asked, for a heading: model, size, work, precision, optimizer, FLOPs of the whole run."""
    run = runs[0]
    precision = run.precision if len(runs) == 1 else "best precision of each row"
    return [
        run.profile.model,
        f"{format_count(run.profile.parameters)} parameters",
        work_text(run),
        precision,
        OPTIMIZERS.get(run.optimizer, run.optimizer),
        f"{format_flops(run_flops(run))}s (1 multiply-add = 2 FLOPs)",
    ]


def work_text(run: TrainingRun) -> str:
    """Return the amount of work as it was asked for: "10 B tokens", "3 epochs of 60,000 samples"."""
    if run.tokens is not None:
        return f"{format_count(run.tokens)} tokens"
    if run.samples is not None:
        return f"{format_count(run.samples)} samples"
    if run.epochs is not None:
        return f"{run.epochs:g} epochs of {run.dataset_size:,} samples"
    return f"{run.total_steps:,} steps"


def run_flops(run: TrainingRun) -> float:
    """Return the model FLOPs of all forward and backward passes of a run; they are proportional to its samples."""
    profile = run.profile.at(sequence_length=run.sequence_length)
    return (profile.model_flops.forward + profile.model_flops.backward) / profile.batch_size * run.total_samples


def hardware_text(row: Estimate) -> str:
    """Return "8× tpu-v5e"; "1× h100-sxm (of 8)" where a machine has more than are used; how states are divided."""
    paid = f" (of {row.count + row.idle_devices})" if row.idle_devices else ""
    status = " (announced)" if row.device.status == "announced" else ""
    return ", ".join([f"{row.count}× {row.device.id}{status}{paid}", *row.sharding])


def memory_text(row: Estimate) -> str:
    """Return peak and capacity in GiB: "14/24"."""
    return f"{two_digits(row.peak_memory_bytes, 2**30)}/{two_digits(row.memory_bytes, 2**30)}"


def _row(row: Estimate, *, best: bool) -> Row:
    offer = row.offer
    place = [offer.provider, offer.region] if offer else [MISSING, MISSING]
    guessed = offer is not None and offer.basis == "estimate"
    hourly = price(row.rental.usd_per_hour if row.rental else None, estimated=guessed)
    head = ["✔" if best else "", hardware_text(row), *place, hourly]
    if row.why_not is not None:
        style = "red" if row.why_not_kind == "memory" else "dim"
        return Row(head, note=row.why_not.splitlines()[0], style=style)
    time, cost = span(row.run_time, DURATION), span(row.cost, MONEY)
    memory = memory_text(row)
    precision = SHORT_PRECISIONS.get(row.precision, row.precision)
    words = [share(row.mfu), row.bound or MISSING, row.basis or MISSING, precision]
    money = cost[0] if cost[0] == MISSING else f"${cost[0]}"
    step, hours, energy = span(row.step_time, DURATION)[0], figure(row.device_hours), figure(row.energy_kwh)
    return Row([*head, step, *time, hours, money, cost[1], energy, memory, *words], style="bold" if best else "")


def _footer(estimates: Estimates, shown: Sequence[Estimate], width: int) -> Iterator[RenderableType]:
    lines = [*_best(estimates), *_faster(estimates), *_parts(estimates), *_tokens(estimates.runs[0])]
    lines += [("Assumed", "; ".join(estimates.assumptions))]
    lines += [("Guessed", said) for said in [_guessed(shown)] if said]
    lines += [("Left out", text) for text in [_left_out(estimates, shown)] if text]
    if not estimates.answered:
        lines += [("Why not", row.why_not or "") for row in estimates.rows[:WHY_SHOWN]]
    elif remedy := _remedy(estimates):
        lines += [("Too small", remedy)]
    lines += [("Next", flow(_next(estimates), width - 11, " · "))]
    yield notes(lines)


def _guessed(shown: Sequence[Estimate]) -> str:
    """Say what ~ at a price means, where one has it."""
    offers = ((row.device.id, row.offer) for row in shown if row.offer and row.offer.basis == "estimate")
    machines = dict.fromkeys(f"{device} of {offer.provider}" for device, offer in offers)
    said = f"price lists do not say which device these machines have ({ESTIMATED} at $/H): {', '.join(machines)}"
    return said if machines else ""


def _best(estimates: Estimates) -> Iterator[tuple[str, str]]:
    cheapest, fastest = estimates.cheapest(), estimates.fastest()
    if cheapest is not None:
        yield "Cheapest", _told(cheapest) + (", and the fastest" if cheapest is fastest else "")
    if fastest is not None and fastest is not cheapest:
        yield "Fastest", _told(fastest)
    answered, frontier = len(estimates.answered), len(estimates.pareto())
    if frontier and answered > 1:
        yield "Pareto", f"{frontier} of {answered}: no other is both cheaper and faster"


def _faster(estimates: Estimates) -> Iterator[tuple[str, str]]:
    """Say which split, run by which software, is clearly faster than the divided states of the first row."""
    first = next(iter(estimates.answered), None)
    if first is None or first.step_time is None or (plan := faster_split(first.run, first.answer)) is None:
        return
    from estimator.plan.job import stack_for

    took, whole = span(plan.step.total, DURATION)[0], span(first.step_time, DURATION)[0]
    software = stack_for(first.run.profile, first.device.logical_device()).name
    yield "Faster", f"{plan.split}, as {software} runs it: {took} a step instead of {whole} ({_search_of(first)})"


def _search_of(row: Estimate) -> str:
    """Return the command that searches the splits of the same step."""
    profile, length = row.run.profile, row.run.sequence_length
    words = [profile.model, f"--hardware {row.device.id} --count {row.count}"]
    words += [f"--global-batch-size {row.run.global_batch_size} --precision {profile.precision}"]
    words += [f"--optimizer {profile.optimizer}", *([f"--sequence-length {length}"] if length else [])]
    return f"flopcast plan {' '.join(words)}"


def _parts(estimates: Estimates) -> Iterator[tuple[str, str]]:
    """Say what the run time of the first row consists of."""
    first = next(iter(estimates.answered), None)
    if first is not None and first.whole is not None and len(first.whole.parts) > 1:
        yield "Run time", f"{hardware_text(first)}: {parts_text(first.whole)}"


def _tokens(run: TrainingRun) -> Iterator[tuple[str, str]]:
    """Offer the compute-optimal number of tokens of a language model, beside the one asked for."""
    if run.tokens is None:
        return
    best = compute_optimal_tokens(run.profile.parameters)
    asked = f"{run.tokens / best:.3g} times as many are asked for"
    yield "Tokens", f"compute-optimal for a language model: {format_count(best)} ({SOURCE}); {asked}"


def parts_text(whole: RunTime) -> str:
    """Return "training 4.70 d, start-up 40.0 s, ..." of a run time, in the order in which the parts are met."""
    return ", ".join(f"{part.name} {span(part.seconds, DURATION)[0]}" for part in whole.parts)


def _told(row: Estimate) -> str:
    time, cost = span(row.run_time, DURATION), span(row.cost, MONEY)
    money = f", ${cost[0]} ({cost[1]})" if row.cost else ""
    return f"{hardware_text(row)}, {time[0]} ({time[1]}){money}"


def _left_out(estimates: Estimates, shown: Sequence[Estimate]) -> str:
    """Name what has no row here: devices without a price, and those without an answer below the limit."""
    printed = {id(row) for row in shown}
    hidden = [row for row in estimates.unanswered if id(row) not in printed]
    kinds = sorted((row.why_not_kind or "", row.device.id) for row in hidden)
    groups = [(KINDS.get(kind, kind), [name for _, name in found]) for kind, found in groupby(kinds, lambda k: k[0])]
    reasons = sorted((reason, name) for name, reason in estimates.left_out.items())
    groups += [(reason, [name for _, name in found]) for reason, found in groupby(reasons, lambda r: r[0])]
    return "; ".join(_counted(words, names) for words, names in groups)


def _counted(words: str, names: Iterable[str]) -> str:
    distinct = list(dict.fromkeys(names))
    some = ", ".join(distinct[:NAMED]) + (" …" if len(distinct) > NAMED else "")
    return f"{words}: {len(distinct)} ({some})"


def _remedy(estimates: Estimates) -> str:
    """Return what would help the device that misses least, and who can say more."""
    short = next((row for row in estimates.unanswered if row.why_not_kind == "memory"), None)
    return "" if short is None else f"{short.device.id} misses least. {(short.why_not or '').splitlines()[-1]}"


def _next(estimates: Estimates) -> Iterator[str]:
    short = next((row for row in estimates.unanswered if row.why_not_kind == "memory"), None)
    if short is not None:
        yield f"flopcast fit {short.run.profile.model} --device {short.device.id}"
    yield f"flopcast hardware {estimates.rows[0].device.id}"
    yield "every offer: --all-offers"
    yield "how it is computed: -v"
