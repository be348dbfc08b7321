"""Many measured cases as one long list of operations, so that a change of a parameter is priced in one sweep."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, fields
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from estimator.timing.launch import copy_seconds, host_seconds, start_seconds
from estimator.timing.machine import Machine
from estimator.timing.products import kernel_seconds, product_seconds
from estimator.timing.rates import Parameters
from estimator.timing.recurrent import recurrent_seconds
from estimator.timing.seconds import side_by_side
from estimator.timing.settings import Floats
from estimator.timing.traffic import fault_seconds, traffic_seconds
from estimator.timing.work import Kernels, Mask, Products, Recurrent, Rows, Work

Term = Callable[[Work, Machine, Mask, Parameters], tuple[Rows, Floats]]
"""Rows and their seconds of one kind of cost; a row has the sum of all kinds."""


def _products(work: Work, on: Machine, _: Mask, p: Parameters) -> tuple[Rows, Floats]:
    return work.products.row, product_seconds(work.products, on.at(work.products.row), p)[0]


def _recurrent(work: Work, on: Machine, _: Mask, p: Parameters) -> tuple[Rows, Floats]:
    return work.recurrent.row, recurrent_seconds(work.recurrent, on.at(work.recurrent.row), p)[0]


def _kernels(work: Work, on: Machine, _: Mask, p: Parameters) -> tuple[Rows, Floats]:
    return work.kernels.row, kernel_seconds(work.kernels, on.at(work.kernels.row), p)[0]


def _traffic(work: Work, on: Machine, _: Mask, p: Parameters) -> tuple[Rows, Floats]:
    return work.traffic_row, traffic_seconds(work, on.at(work.traffic_row), p)


def _starts(work: Work, on: Machine, _: Mask, p: Parameters) -> tuple[Rows, Floats]:
    return np.arange(work.n), start_seconds(work, on, p) + fault_seconds(work, on, p)


def _host(work: Work, on: Machine, training: Mask, p: Parameters) -> tuple[Rows, Floats]:
    return np.arange(work.n), host_seconds(work, on, training, p)


HOST: Final = "host"
COPIES: Final = "copies"
TERMS: Final[Mapping[str, Term]] = {
    "products": _products,
    "recurrent": _recurrent,
    "kernels": _kernels,
    "traffic": _traffic,
    "starts": _starts,
    HOST: _host,
}
"""All kinds of cost of operations; those of the host run beside the others. What `seconds_of` says, kind by kind: a
parameter changes few of them. `COPIES` of inputs, where they were timed, come on top."""


@dataclass(frozen=True, eq=False)
class Sample:
    """One measured case: its work, its machine, how often a step runs the forward and backward pass, and the result.

    `copied_bytes` are those of the inputs that the timed region copies to the device.
    """

    work: Work
    machine: Machine
    training: bool
    accumulation: int
    with_optimizer: bool
    measured_s: float
    copied_bytes: float = 0.0


@dataclass(frozen=True, eq=False)
class Design:
    """Samples joined: `case` says which sample an operation belongs to, `weight` how often a step runs it."""

    work: Work
    machine: Machine
    training: NDArray[np.bool_]
    case: NDArray[np.intp]
    weight: Floats
    measured_s: Floats
    copied_bytes: Floats

    @property
    def n(self) -> int:
        """Number of samples."""
        return len(self.measured_s)

    def term(self, name: str, p: Parameters) -> Floats:
        """Seconds of one of `TERMS`, or of `COPIES`, in each sample's step."""
        if name == COPIES:
            return copy_seconds(self.copied_bytes, p)
        rows, seconds = TERMS[name](self.work, self.machine, self.training, p)
        return np.bincount(self.case[rows], seconds * self.weight[rows], minlength=self.n).astype(np.float64)


def step_seconds(terms: Mapping[str, Floats], host_factor: Floats, p: Parameters) -> Floats:
    """Return the seconds of each sample's step from those of all `TERMS` and of `COPIES`."""
    device: Floats = np.sum([seconds for name, seconds in terms.items() if name not in (HOST, COPIES)], axis=0)
    return side_by_side(device, terms[HOST] * host_factor, p["side_by_side_order"]) + terms[COPIES]


def join(samples: Sequence[Sample]) -> Design:
    """Put samples behind one another."""
    lengths = [sample.work.n for sample in samples]
    starts = np.concatenate([[0], np.cumsum(lengths)[:-1]]).astype(np.intp)
    work = _join_work([sample.work for sample in samples], starts)
    case = np.repeat(np.arange(len(samples)), lengths)
    passes = np.array([float(sample.accumulation) for sample in samples])
    optimizer = np.array([float(sample.with_optimizer) for sample in samples])
    return Design(
        work=work,
        machine=_join_machines([sample.machine for sample in samples], lengths),
        training=np.array([sample.training for sample in samples])[case],
        case=case,
        weight=work.calls * np.where(work.optimizer, optimizer[case], passes[case]),
        measured_s=np.array([sample.measured_s for sample in samples]),
        copied_bytes=np.array([sample.copied_bytes for sample in samples]),
    )


def _join_machines(machines: Sequence[Machine], lengths: Sequence[int]) -> Machine:
    def column(name: str) -> Any:
        return np.concatenate([np.broadcast_to(getattr(m, name), (n,)) for m, n in zip(machines, lengths, strict=True)])

    return Machine(**{field.name: column(field.name) for field in fields(Machine)})


def _join_work(works: Sequence[Work], starts: NDArray[np.intp]) -> Work:
    def rows(part: str, name: str) -> Any:
        parts = [getattr(work, part) if part else work for work in works]
        return np.concatenate([getattr(each, name) + start for each, start in zip(parts, starts, strict=True)])

    def column(part: str, name: str) -> Any:
        return np.concatenate([getattr(getattr(work, part) if part else work, name) for work in works])

    def group(part: str, kind: type[Products] | type[Recurrent] | type[Kernels]) -> dict[str, Any]:
        names = [field.name for field in fields(kind)]
        return {name: rows(part, name) if name == "row" else column(part, name) for name in names}

    plain = [f.name for f in fields(Work) if f.name not in ("n", "products", "recurrent", "kernels", "traffic_row")]
    return Work(
        n=sum(work.n for work in works),
        products=Products(**group("products", Products)),
        recurrent=Recurrent(**group("recurrent", Recurrent)),
        kernels=Kernels(**group("kernels", Kernels)),
        traffic_row=rows("", "traffic_row"),
        **{name: column("", name) for name in plain},
    )
