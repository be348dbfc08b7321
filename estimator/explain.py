"""Every term of an estimate: its formula, the numbers put in, and where they come from."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from html import escape
from typing import TYPE_CHECKING, Final

from estimator.answer import Answer
from estimator.largest import Change, Share, changes, largest_shares
from estimator.memory import parameter
from estimator.parallel.collectives import NETWORK_REACHED, REACHED
from estimator.ranges import Range
from estimator.run import AMOUNTS
from estimator.timing import ground_of, streaming, sustained_flops_per_s
from hardware_db.units import format_bytes, format_count, format_duration, format_flops, format_rate, format_usd

if TYPE_CHECKING:
    from estimator.parallel.step import ParallelStep
    from estimator.result import Estimate
    from hardware_db import Device

LEAST_S: Final = 1e-9
"""Shorter than anything that runs: what is left of a sum of nothing."""

LEAST_CHANGE: Final = 0.005
"""Of a time; smaller ones would be told as none."""

OWN: Final = ("forward", "backward", "recomputation", "parameter gathering", "accumulation", "optimizer")
"""Parts of a step that are the device's own stream."""


@dataclass(frozen=True, slots=True)
class Term:
    """One line of the sum: what it is, the formula, the numbers in it, what comes out and on what ground."""

    name: str
    formula: str
    numbers: str
    result: str
    source: str


@dataclass(frozen=True, slots=True)
class Explanation:
    """The terms in the order they are computed, the operators that take most time, and what would change it.

    Prints as text.
    """

    title: str
    terms: tuple[Term, ...]
    largest: tuple[Share, ...] = ()
    bound: str | None = None
    changes: tuple[Change, ...] = ()

    def __str__(self) -> str:
        blocks = [
            f"{term.name}: {term.result}\n  = {term.formula}\n  = {term.numbers}\n  source: {term.source}"
            for term in self.terms
        ]
        return "\n\n".join([self.title, *blocks, *self._where()])

    def _where(self) -> Iterator[str]:
        """Yield what takes the time and what would change it, where there is a time."""
        if self.largest:
            lines = [
                f"  {each.share:4.0%}  {format_duration(each.seconds):>8}  {each.operator} {each.phase}, "
                f"{format_count(each.calls)} calls, {each.bound}"
                for each in self.largest
            ]
            yield "\n".join([f"largest of the device's time; {self.bound} binds the step:", *lines])
        told = [each for each in self.changes if abs(each.factor - 1) >= LEAST_CHANGE]
        if told:
            lines = [f"  ×{each.factor:.2f}  {each.what}" for each in told]
            yield "\n".join(["what would change the time of a sample:", *lines])

    __repr__ = __str__

    def _repr_html_(self) -> str:
        return f"<pre>{escape(str(self))}</pre>"


def explain(row: Estimate) -> Explanation:
    """Return the terms of an estimate; those that have no figure are left out, and the last says why."""
    offer = f", {row.offer.provider} {row.offer.instance} in {row.offer.region}" if row.offer else ""
    title = f"{row.run.profile.model} on {row.count} × {row.device.id}{offer}"
    return Explanation(title, tuple(_terms(row)), largest_shares(row), row.bound, changes(row))


def _terms(row: Estimate) -> Iterator[Term]:
    yield _steps(row)
    yield from _memory(row.answer)
    step = row.answer.step
    if step is not None:
        yield from _step(row, step)
        yield from _run(row)
    if row.why_not is not None:
        yield Term("no answer", "-", "-", row.why_not, "the figures above")


def _steps(row: Estimate) -> Term:
    run = row.run
    amount = next(f"{format_count(getattr(run, name))} {name}" for name in AMOUNTS if getattr(run, name))
    tokens = f" × {run.sequence_length:,} tokens" if run.tokens else ""
    return Term(
        "steps",
        "amount of work / global batch, rounded up",
        f"{amount} / ({run.global_batch_size:,} samples{tokens})",
        f"{run.total_steps:,}",
        "the question",
    )


def _memory(answer: Answer) -> Iterator[Term]:
    if answer.need is None or answer.replica is None:
        return
    held = " + ".join(f"{format_bytes(size)} {name}" for name, size in answer.need.parts.items() if size)
    yield Term(
        "memory of a device",
        "live bytes of one micro-batch + gradients kept + all-reduce buckets + workspaces, allocator and context",
        f"{held} (micro-batch {answer.replica.micro_batch_size}, {answer.accumulation} accumulated)",
        f"{format_bytes(answer.need.total_bytes)} of {format_bytes(answer.capacity_bytes)}",
        f"live bytes: exact, from the recorded step; {_besides(answer.device)}",
    )


def _besides(device: Device) -> str:
    scopes = (device.architecture, device.vendor, device.kind)
    return "; ".join(parameter(name, scopes).source for name in ("workspace", "reserve", "context"))


def _step(row: Estimate, step: ParallelStep) -> Iterator[Term]:
    yield from _device_terms(row, step)
    if step.host.mid:
        yield Term(
            "host",
            "operations issued × time to issue one, in Python, in the autograd engine and in the optimizer",
            f"{format_count(issued(row))} operations × {format_duration(step.host.mid / issued(row))}",
            _durations(step.host),
            ground_of(row.answer.device.logical_device()),
        )
    if step.sent.mid:
        yield _all_reduce(row, step)
    yield _total(row, step)


def _total(row: Estimate, step: ParallelStep) -> Term:
    if row.run.mfu is not None and row.mfu is not None:
        peak = row.count * row.device.peak_flops_per_s(row.precision)
        flops = format_flops(row.mfu * step.total.mid * peak)
        numbers = f"{flops} / ({row.run.mfu:g} × {row.count} × {format_rate(peak / row.count)})"
        formula = "model FLOPs / (MFU × devices × dense peak), in place of the terms above"
        return Term("step", formula, numbers, _durations(step.total), "the MFU that was given")
    return Term(
        "step",
        "device beside host + exposed collectives of gradients + waiting for the slowest of many hosts",
        f"longer of {_durations(step.device)} and {_durations(step.host)} + {_durations(step.exposed)} "
        f"+ {_durations(step.parts['stragglers'])}",
        _durations(step.total),
        "device and host are two streams side by side; order statistics of normal delays",
    )


def _device_terms(row: Estimate, step: ParallelStep) -> Iterator[Term]:
    device = row.answer.device.logical_device()
    peak, sustained = device.peak_flops_per_s(row.precision), sustained_flops_per_s(device, row.precision)
    bandwidth = device.memory_bandwidth_bytes_per_s or 0.0
    streamed = 1e9 / streaming(1e9, device).mid
    own = ", ".join(f"{_durations(step.parts[name])} {name}" for name in OWN if step.parts[name].mid > LEAST_S)
    yield Term(
        "device",
        "accumulation × (forward + backward) + optimizer; each operation "
        "(FLOPs / rate)^o + (bytes / bandwidth)^o)^(1/o) + start",
        f"{own}; large products {format_rate(sustained)} ({sustained / peak:.0%} of "
        f"the peak), element-wise operations {format_rate(streamed, 'B/s')} ({streamed / bandwidth:.0%})",
        _durations(step.device),
        f"roofline (Williams et al., 2009); {ground_of(device)}",
    )


def issued(row: Estimate) -> float:
    """Return the operations of a step that a host issues; views start nothing."""
    assert row.answer.replica is not None and row.answer.accumulation is not None
    table = row.run.profile.table(row.answer.replica.micro_batch_size, row.run.sequence_length)
    calls = table.count.astype(float) * ~table.family.mask("view")
    once = calls[table.phase.mask("optimizer")].sum()
    return float(once + row.answer.accumulation * (calls.sum() - once))


def _all_reduce(row: Estimate, step: ParallelStep) -> Term:
    group = row.answer.group
    assert group is not None
    reached = REACHED[group.shape] if group.machines == 1 else NETWORK_REACHED
    fast, usual, slow = reached.tolist()
    return Term(
        "all-reduce" if not step.split.zero_stage else "reduce-scatter, all-gather",
        "2 (n-1)/n × gradient bytes / (link × efficiency) + hops; what backward does not hide is exposed",
        f"n = {group.size} on {group.machines} machine{'s' * (group.machines > 1)}, "
        f"link {format_rate(group.bytes_per_s, 'B/s')} × {usual:.2f} ({slow:.2f}-{fast:.2f})",
        f"{_durations(step.sent)}, exposed {_durations(step.exposed)}",
        "ring all-reduce (Patarasuk and Yuan, 2009); github.com/NVIDIA/nccl-tests/issues/212; NCCL src/graph/tuning.cc",
    )


def _run(row: Estimate) -> Iterator[Term]:
    assert row.step_time and row.run_time and row.device_time and row.whole
    peak = row.device.peak_flops_per_s(row.precision)
    for part in row.whole.parts:
        yield Term(part.name, "part of the run time", part.numbers, _durations(part.seconds), part.source)
    names = " + ".join(part.name for part in row.whole.parts)
    middles = " + ".join(format_duration(part.seconds.mid) for part in row.whole.parts)
    yield Term("run time", names, middles, _durations(row.run_time), "wall-clock; the parts above")
    hours = row.device_time
    yield Term(
        "device-hours",
        "run time × devices",
        f"{_durations(row.run_time)} × {row.count}",
        _span(f"{format_count(hours.mid)} h", format_count(hours.low), format_count(hours.high)),
        "-",
    )
    for charge in row.bill.charges if row.bill else ():
        yield Term(charge.name, "part of the cost", charge.numbers, _dollars(charge.usd), charge.source)
    if row.bill and row.cost:
        names = " + ".join(charge.name for charge in row.bill.charges)
        yield Term("cost", names, "the parts above", _dollars(row.cost), "; ".join(row.bill.missing) or "-")
    if row.energy:
        yield _energy(row, row.energy)
    yield Term(
        "MFU",
        "model FLOPs / (step time × devices × dense peak)",
        f"{format_duration(row.step_time.mid)} × {row.count} × {format_rate(peak)}",
        f"{row.mfu:.1%}",
        "Chowdhery et al., 2022",
    )


def _energy(row: Estimate, energy: Range) -> Term:
    assert row.power is not None and row.device.tdp_w is not None
    share = row.power * (1 / row.device.tdp_w)
    return Term(
        "energy",
        "rated power × share drawn × devices × run time; share: idle + (1 - idle) × activity of what binds the step",
        f"{row.device.tdp_w:,.0f} W × {share.mid:.2f} ({share.low:.2f}-{share.high:.2f}) × {row.count}",
        f"{format_count(energy.mid)} kWh ({format_count(energy.low)}-{format_count(energy.high)})",
        "arXiv:2506.14551, arXiv:2412.08602; idle and waiting assumed",
    )


def _dollars(spread: Range) -> str:
    return _span(*map(format_usd, (spread.mid, spread.low, spread.high)))


def _durations(spread: Range) -> str:
    return _span(*map(format_duration, (spread.mid, spread.low, spread.high)))


def _span(mid: str, low: str, high: str) -> str:
    return mid if low == high else f"{mid} ({low}-{high})"
