"""One run on one set of devices from one offer: time, memory, cost, energy, and where each number comes from."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any

from estimator.answer import Answer
from estimator.cost import Rental
from estimator.ranges import Range

if TYPE_CHECKING:
    from estimator.estimates import Estimates
    from estimator.explain import Explanation
    from estimator.run import TrainingRun
    from estimator.whole_run import RunTime
    from estimator.whole_run.bill import Bill
    from hardware_db import Device, Offer

RANGED = {
    "step_time_s": "step_time",
    "run_time_s": "run_time",
    "device_hours": "device_time",
    "cost_usd": "cost",
    "power_w": "power",
    "energy_kwh": "energy",
}
"""Public name of a figure -> the range behind it."""

ENDS = ("mid", "low", "high")


class End:
    """One end of a range as a plain number; None where the range is unknown."""

    def __init__(self, range_name: str, end: str) -> None:
        self.range_name = range_name
        self.end = end

    def __get__(self, row: Estimate, _owner: type[Estimate]) -> float | None:
        spread: Range | None = getattr(row, self.range_name)
        return None if spread is None else float(getattr(spread, self.end))


@dataclass(frozen=True, repr=False)
class Estimate:
    """What a training run takes and costs on `count` devices; figures that cannot be told are None, `why_not` says why.

    Attributes
    ----------
    run
        the training run
    answer
        replica, memory and step time with their parts
    rental
        the machines to rent, None where there is no offer
    whole
        the parts of the run time: training steps and what comes around them
    bill
        the parts of the cost; None without an offer
    step_time, run_time, device_time, cost, power, energy
        ranges in seconds, seconds, device-hours, US dollars, watts of a device on average and kWh;
        each is also there as three numbers:
        `step_time_s`, `step_time_s_low`, `step_time_s_high`, and so `run_time_s`, `device_hours`, `cost_usd`,
        `power_w`, `energy_kwh`. `cost` is None without an offer, `power` and `energy` without a rated
        power of the device
    mfu, hfu
        model and hardware FLOPs utilisation: (model or executed FLOPs of forward and backward) / (step time x devices
        x dense peak)
    """

    run: TrainingRun
    answer: Answer
    rental: Rental | None = None
    step_time: Range | None = None
    whole: RunTime | None = None
    bill: Bill | None = None
    run_time: Range | None = None
    device_time: Range | None = None
    cost: Range | None = None
    power: Range | None = None
    energy: Range | None = None
    mfu: float | None = None
    hfu: float | None = None

    @property
    def device(self) -> Device:
        """The device; of a rented CPU machine the part that is rented."""
        return self.answer.device

    @property
    def count(self) -> int:
        """Devices in use."""
        return self.answer.count

    @property
    def offer(self) -> Offer | None:
        """The offer that is priced."""
        return self.rental.offer if self.rental else None

    @property
    def instances(self) -> int | None:
        """Machines to rent."""
        return self.rental.instances if self.rental else None

    @property
    def idle_devices(self) -> int:
        """Devices that are paid for and not used, because machines come whole."""
        return self.rental.idle_devices if self.rental else 0

    @property
    def precision(self) -> str:
        """Precision of the run."""
        return self.run.precision

    @property
    def micro_batch_size(self) -> int | None:
        """Samples that a device (a replica) puts through at a time."""
        return self.answer.replica.micro_batch_size if self.answer.replica else None

    @property
    def gradient_accumulation_steps(self) -> int | None:
        """Micro-batches of a step."""
        return self.answer.accumulation

    @property
    def peak_memory_bytes(self) -> int | None:
        """Bytes a device (a replica) must hold at the peak, context and allocator included."""
        return self.answer.need.total_bytes if self.answer.need else None

    @property
    def memory_bytes(self) -> int | None:
        """Bytes a device (a replica) has."""
        return self.answer.capacity_bytes

    @property
    def fits(self) -> bool | None:
        """Whether the memory suffices; None where it is unknown."""
        return self.answer.fits

    @property
    def sharding(self) -> tuple[str, ...]:
        """What differs from plain data parallelism, in words: "ZeRO 3", "recompute"."""
        return self.answer.step.split.besides_copies if self.answer.step else ()

    @property
    def bound(self) -> str | None:
        """What takes most of the step: compute, memory, launch, network or waiting."""
        return self.answer.step.bound if self.answer.step else None

    @property
    def basis(self) -> str | None:
        """Where the efficiencies come from: datasheet, or given (an MFU of the user's)."""
        return self.answer.step.basis if self.answer.step else None

    @property
    def why_not(self) -> str | None:
        """Why there is no time, in a sentence."""
        return self.answer.why_not.text if self.answer.why_not else None

    @property
    def why_not_kind(self) -> str | None:
        """Why there is no time, to group by: precision, batch, memory, figures, link or interruptions."""
        return self.answer.why_not.kind if self.answer.why_not else None

    step_time_s, step_time_s_low, step_time_s_high = (End("step_time", end) for end in ENDS)
    run_time_s, run_time_s_low, run_time_s_high = (End("run_time", end) for end in ENDS)
    device_hours, device_hours_low, device_hours_high = (End("device_time", end) for end in ENDS)
    cost_usd, cost_usd_low, cost_usd_high = (End("cost", end) for end in ENDS)
    power_w, power_w_low, power_w_high = (End("power", end) for end in ENDS)
    energy_kwh, energy_kwh_low, energy_kwh_high = (End("energy", end) for end in ENDS)

    def explain(self) -> Explanation:
        """Return every term of the sum with its formula, the numbers put in, and its source."""
        from estimator.explain import explain

        return explain(self)

    def __repr__(self) -> str:
        return repr(self._alone())

    def _repr_html_(self) -> str:
        return self._alone()._repr_html_()

    def _alone(self) -> Estimates:
        from estimator.estimates import Estimates

        return Estimates((self,), (self.run,))

    def to_dict(self) -> dict[str, Any]:
        """Return the row in base units, flat; ranges as three entries (`cost_usd`, `cost_usd_low`, `cost_usd_high`)."""
        return _identity(self) | _figures(self)


def _identity(row: Estimate) -> dict[str, Any]:
    offer = row.offer
    return {
        "device": row.device.id,
        "device_name": row.device.name,
        "kind": row.device.kind,
        "vendor": row.device.vendor,
        "count": row.count,
        "provider": offer.provider if offer else None,
        "instance": offer.instance if offer else None,
        "region": offer.region if offer else None,
        "pricing": offer.pricing if offer else None,
        "instances": row.instances,
        "idle_devices": row.idle_devices,
        "usd_per_hour": row.rental.usd_per_hour if row.rental else None,
        "price_as_of": offer.as_of.isoformat() if offer else None,
        "price_source": offer.source if offer else None,
    }


def _figures(row: Estimate) -> dict[str, Any]:
    step = row.answer.step
    return {
        **{name + end: getattr(row, name + end) for name in RANGED for end in ("", "_low", "_high")},
        "run_time_parts_s": {part.name: part.seconds.mid for part in row.whole.parts} if row.whole else None,
        "cost_parts_usd": {each.name: each.usd.mid for each in row.bill.charges} if row.bill else None,
        "interruptions": row.whole.stops.mid if row.whole else None,
        "precision": row.precision,
        "micro_batch_size": row.micro_batch_size,
        "gradient_accumulation_steps": row.gradient_accumulation_steps,
        "peak_memory_bytes": row.peak_memory_bytes,
        "memory_bytes": row.memory_bytes,
        "fits": row.fits,
        "memory": asdict(row.answer.need) if row.answer.need else None,
        "mfu": row.mfu,
        "hfu": row.hfu,
        "split": asdict(step.split) if step else None,
        "bound": row.bound,
        "seconds_by_bound": dict(step.buckets) if step else None,
        "basis": row.basis,
        "notes": list(step.notes) if step else [],
        "why_not": row.why_not,
        "why_not_kind": row.why_not_kind,
    }
