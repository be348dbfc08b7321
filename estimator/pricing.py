"""From an answer to an estimate: times of the whole run, the machines to rent, cost and energy."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

from estimator.answer import Answer, Cluster, WhyNot, answer, peak_of_all
from estimator.cost import SECONDS_PER_HOUR, Rental, fabric_of, rent
from estimator.energy import energy_kwh, mean_power_w
from estimator.parallel.network import Network
from estimator.result import Estimate
from estimator.timing import as_benchmarked
from estimator.whole_run.bill import bill_of
from estimator.whole_run.run_time import refusal, whole_run_time
from estimator.workload import Workload

if TYPE_CHECKING:
    from hardware_db import Database, Device, Offer


def priced(work: Workload, found: Answer, rental: Rental | None) -> Estimate:
    """Put times, cost and energy to an answer."""
    run, step = work.run, found.step
    if step is None or found.replica is None:
        return Estimate(run, found, rental)
    whole = whole_run_time(run, found, rental)
    if (refused := refusal(run, whole)) is not None:
        return Estimate(run, replace(found, why_not=WhyNot("interruptions", refused)), rental)
    run_time = whole.total
    bill = bill_of(rental, run_time, run.overheads) if rental else None
    power = mean_power_w(found.device, step.buckets)
    available = step.total.mid * peak_of_all(work, found)
    return Estimate(
        run=run,
        answer=found,
        rental=rental,
        step_time=step.total,
        whole=whole,
        run_time=run_time,
        device_time=run_time * (found.count / SECONDS_PER_HOUR),
        bill=bill,
        cost=bill.total if bill else None,
        power=power,
        energy=energy_kwh(power, found.count, run_time) if power else None,
        mfu=work.step_flops("model_flops", found.replica) / available,
        hfu=work.step_flops("executed_flops", found.replica) / available,
    )


def on_offer(work: Workload, database: Database, offer: Offer, count: int, *, splits: bool = True) -> Estimate:
    """Estimate a run on an offer's machines; `splits`: also search a split of the layers where nothing else fits."""
    device = device_of(database, offer)
    cluster = Cluster(device, count, fabric_of(device, offer, database.system_of(offer)), splits)
    return priced(work, answered(work, database, cluster), rent(offer, count))


def device_of(database: Database, offer: Offer) -> Device:
    """Return one of the devices of an offer; of a processor without stated cores the part that the user benchmarked."""
    device = database.device_of(offer)
    return as_benchmarked(device) if offer.cores is None else device


def answered(work: Workload, database: Database, cluster: Cluster) -> Answer:
    """Return what a cluster makes of a run, worked out once for all that are alike.

    Raises
    ------
    UsageError
        the batch does not divide over the devices
    """
    same = alike(cluster, database)
    found = work.remembered(same, lambda: answer(work, database, same))
    group = found.group and cluster.fabric.group(found.group.size, 1)
    return replace(found, device=cluster.device, group=group)


def alike(cluster: Cluster, database: Database) -> Cluster:
    """Return the cluster whose answer holds for this one: where the fast link joins all, the network is left out.

    So machines of many providers that differ in their network alone are worked out once.
    """
    fabric, replicas = cluster.fabric, cluster.count * cluster.device.logical_devices
    device = cluster.device if cluster.device.kind == "cpu" else database.devices_by_id[cluster.device.id]
    if replicas == 1:
        return replace(cluster, device=device, fabric=Network(device.id, 1, None, None, "switch", 1))
    if replicas > fabric.joined or fabric.inner_bytes_per_s is None:
        return cluster
    inside = replace(fabric, name=f"{fabric.joined} × {device.id}", outer_bytes_per_s=None, note="")
    return replace(cluster, device=device, fabric=inside)


def preference(row: Estimate) -> tuple[bool, float, float]:
    """Order rows of one device and count: answered first, then cheapest, then fastest."""
    per_hour = row.rental.usd_per_hour if row.rental else 0.0
    return row.why_not is not None, row.cost.mid if row.cost else per_hour, row.run_time_s or 0.0
