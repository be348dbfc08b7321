"""Many estimates of the same run: sorted, filtered, on the Pareto frontier, as a table."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import date
from typing import TYPE_CHECKING, Any, Final, Literal, overload

from estimator.energy import ACTIVITY, IDLE_SHARE
from estimator.result import Estimate
from estimator.timing import cores_said
from estimator.timing.parameters import published_steps
from hardware_db.errors import UsageError

if TYPE_CHECKING:
    import pandas as pd

    from estimator.run import TrainingRun
    from hardware_db import Offer
    from profiles.records import Uncounted

OLD_PRICE_DAYS = 30
ROUNDED_UP = 1.1
"""From here on the reader is told how much more the whole steps compute than was asked for."""
SORTS: Final[Mapping[str, Callable[[Estimate], float | None]]] = {
    "cost": lambda row: row.cost_usd,
    "time": lambda row: row.run_time_s,
    "energy": lambda row: row.energy_kwh,
}
Sort = Literal["cost", "time", "energy"]


@dataclass(frozen=True, repr=False)
class Estimates(Sequence[Estimate]):
    """The answers of one question, in order; rows without a time (`why_not`) come last.

    Attributes
    ----------
    rows
        the estimates
    runs
        what was asked, in order of preference of precision
    left_out
        device id -> why it has no row
    pricing
        how the offers are paid
    today
        the day that the age of prices is counted from
    """

    rows: tuple[Estimate, ...]
    runs: tuple[TrainingRun, ...]
    left_out: Mapping[str, str] = field(default_factory=dict)
    pricing: str = "on_demand"
    today: date = field(default_factory=date.today)

    def __len__(self) -> int:
        return len(self.rows)

    def __iter__(self) -> Iterator[Estimate]:
        return iter(self.rows)

    @overload
    def __getitem__(self, index: int) -> Estimate: ...
    @overload
    def __getitem__(self, index: slice) -> Estimates: ...
    def __getitem__(self, index: int | slice) -> Estimate | Estimates:
        if isinstance(index, slice):
            return replace(self, rows=self.rows[index])
        return self.rows[index]

    @property
    def answered(self) -> Estimates:
        """The rows that have a time."""
        return replace(self, rows=tuple(row for row in self.rows if row.why_not is None))

    @property
    def unanswered(self) -> Estimates:
        """The rows that have none; each says why."""
        return replace(self, rows=tuple(row for row in self.rows if row.why_not is not None))

    def sort(self, by: Sort = "cost") -> Estimates:
        """Return the rows in order of cost, time or energy; rows without the figure come last, unanswered after them.

        Raises
        ------
        UsageError
            there is no such order
        """
        if by not in SORTS:
            raise UsageError(f"cannot sort by {by!r}; choose one of {', '.join(SORTS)}")
        return replace(self, rows=tuple(sorted(self.rows, key=lambda row: _order(row, by))))

    def cheapest(self) -> Estimate | None:
        """Return the answered row with the lowest cost; None where nothing is priced."""
        return min((row for row in self.rows if row.cost), key=lambda row: _order(row, "cost"), default=None)

    def fastest(self) -> Estimate | None:
        """Return the answered row with the shortest run."""
        return min((row for row in self.rows if row.run_time), key=lambda row: _order(row, "time"), default=None)

    def pareto(self) -> Estimates:
        """Return the rows that no other row beats in both time and cost, fastest first.

        Of rows that are equal in both, the first stays.
        """
        priced = sorted((row for row in self.rows if row.cost and row.run_time), key=_time_and_cost)
        frontier: list[Estimate] = []
        for row in priced:
            if not frontier or _time_and_cost(row)[1] < _time_and_cost(frontier[-1])[1]:
                frontier.append(row)
        return replace(self, rows=tuple(frontier))

    @property
    def offers(self) -> tuple[Offer, ...]:
        """The offers that the answered rows are priced with."""
        return tuple(row.offer for row in self.answered if row.offer)

    @property
    def assumptions(self) -> tuple[str, ...]:
        """What every figure rests on, in sentences."""
        return _assumptions(self)

    @property
    def warnings(self) -> tuple[str, ...]:
        """What the reader should know before trusting the figures."""
        return tuple(_warnings(self))

    def to_frame(self) -> pd.DataFrame:
        """Return one row an estimate, units in the column names; `attrs["sources"]` names the price sources."""
        import pandas as pd

        rows = [{k: v for k, v in row.to_dict().items() if not isinstance(v, dict | list)} for row in self.rows]
        frame = pd.DataFrame(rows)
        frame.attrs["sources"] = sorted({offer.source for offer in self.offers})
        frame.attrs["assumptions"] = list(self.assumptions)
        return frame

    def to_dict(self, command: str = "estimate") -> dict[str, Any]:
        """Return the document of `--json`: base units, names of this API."""
        return {
            "schema": 1,
            "command": command,
            "run": self.runs[0].to_dict(),
            "assumptions": list(self.assumptions),
            "results": [row.to_dict() for row in self.rows],
            "left_out": dict(self.left_out),
            "warnings": list(self.warnings),
        }

    def __repr__(self) -> str:
        from estimator.text.estimates import estimates_text

        return estimates_text(self)

    def _repr_html_(self) -> str:
        from estimator.notebook import estimates_html

        return estimates_html(self)


def _order(row: Estimate, by: str) -> tuple[bool, bool, float, float, str]:
    """Rows without an answer come last, those that lack memory before the others, the least lacking first."""
    figure = SORTS[by](row)
    if row.why_not is not None and row.peak_memory_bytes and row.memory_bytes:
        figure = row.peak_memory_bytes / row.memory_bytes
    unknown = figure is None
    return row.why_not is not None, unknown, figure or 0.0, row.run_time_s or 0.0, row.device.id


CHANNELS_LAST: Final = (
    "images in channels last on GPUs, where grouped convolutions (ResNeXt) are predicted up to twice too slow"
)


def _time_and_cost(row: Estimate) -> tuple[float, float]:
    return row.run_time_s or 0.0, row.cost_usd or 0.0


def _assumptions(estimates: Estimates) -> tuple[str, ...]:
    run = estimates.runs[0]
    tokens = f" × {run.sequence_length:,} tokens" if run.sequence_length else ""
    micro = f"{run.micro_batch_size}" if run.micro_batch_size else "the largest that fits"
    lines = [
        f"global batch {run.global_batch_size:,}{tokens}, {run.total_steps:,} steps; micro-batch: {micro}",
        f"{_shared(run)}; gradients are sent while the backward pass runs",
        f"operations and memory as recorded for {run.profile.device}; devices of another kind may choose other kernels",
        _efficiencies(run),
        _parts(estimates),
        f"{'torch.compile' if run.compiled else 'eager PyTorch (else --compile)'}; a compiled graph on TPUs"
        f"{f'; {CHANNELS_LAST}' if run.channels_last else ''}",
        _half(run.precision),
        _around(run),
        _prices(estimates),
        f"power without host and cooling: idle {IDLE_SHARE.mid:.0%} of the rating; of the rest "
        f"{ACTIVITY['compute'].mid:.0%} while compute binds, {ACTIVITY['memory'].mid:.0%} memory, "
        f"{ACTIVITY['network'].mid:.0%} waiting",
    ]
    return (*(line for line in lines if line), *run.profile.notes)


def _shared(run: TrainingRun) -> str:
    if run.split is not None:
        return f"split as asked, {run.split}, layers by Megatron-LM, on TPUs by XLA; micro-batch: the fastest that fits"
    return "every device holds the whole model; where it does not fit, the fastest of ZeRO 1 to 3 that does"


def _around(run: TrainingRun) -> str:
    given = run.overheads
    if given is None:
        return "training steps alone: no start-up, data loading, evaluation, checkpoints or failures"
    data = "" if given.data_samples_per_s else "; no step waits for data (else --data-rate)"
    evaluated = "" if given.eval_samples else ", nothing is evaluated (else --eval-every)"
    return f"run time with provisioning, start-up, compilation, checkpoints and failures{data}{evaluated}"


def _efficiencies(run: TrainingRun) -> str:
    if run.mfu is not None:
        return f"MFU {run.mfu:g} as given, instead of a prediction"
    return (
        f"step times from formulas fitted to {published_steps():,} published measurements; "
        "ranges hold 80 % of the cases left out of the fit"
    )


def _parts(estimates: Estimates) -> str:
    said = {
        row.device.id: cores_said(row.device) for row in estimates.rows if row.offer is None or row.offer.cores is None
    }
    return "; ".join(f"{id}: the {part} that were benchmarked" for id, part in said.items() if part)


def _half(precision: str) -> str:
    if precision not in ("bfloat16", "float16"):
        return ""
    return f"{precision} throughout, optimizer states too; mixed precision: --precision amp_{precision}"


def _prices(estimates: Estimates) -> str:
    dates = sorted(offer.as_of for offer in estimates.offers)
    if not dates:
        return ""
    seen = f"{dates[0]}" if dates[0] == dates[-1] else f"{dates[0]} to {dates[-1]}"
    return f"{estimates.pricing.replace('_', ' ')} prices of {seen}; machines are paid whole, by the provider's clock"


def _warnings(estimates: Estimates) -> Iterator[str]:
    ages = [(estimates.today - offer.as_of).days for offer in estimates.offers]
    old = [age for age in ages if age > OLD_PRICE_DAYS]
    if old:
        yield f"{len(old)} of {len(ages)} prices are older than {OLD_PRICE_DAYS} days, the oldest {max(old)} days"
    run = estimates.runs[0]
    computed = run.total_steps * run.global_batch_size
    if computed > ROUNDED_UP * run.total_samples:
        yield (
            f"{run.total_steps:,} whole steps of {run.global_batch_size:,} samples are "
            f"{computed / run.total_samples:.3g} times the {run.total_samples:,.0f} samples asked for, "
            "and are what is priced; take a smaller batch size"
        )
    if estimates.runs[0].mfu is not None:
        yield f"mfu {estimates.runs[0].mfu:g} replaces the predicted step times, on every device alike"
    if estimates.runs[0].profile.uncounted:
        yield _uncounted(estimates.runs[0].profile.uncounted)
    yield from dict.fromkeys(each for row in estimates.answered if row.bill for each in row.bill.missing)
    noted: dict[str, dict[str, None]] = {}
    for row in estimates.answered:
        for note in row.answer.step.notes if row.answer.step else ():
            noted.setdefault(note, {})[row.device.id] = None
    yield from (f"{', '.join(ids)}: {note}" for note, ids in noted.items())
    if estimates.rows and not estimates.answered:
        yield "no device can run this as asked; each row says why"


def _uncounted(operators: Sequence[Uncounted]) -> str:
    names = ", ".join(f"{each.operator} ({each.calls} calls)" for each in operators[:3])
    more = f" and {len(operators) - 3} more" if len(operators) > 3 else ""
    share = sum(each.share for each in operators)
    return f"operators without a formula: {names}{more}; their FLOPs are estimates, they move {share:.1%} of the bytes"
