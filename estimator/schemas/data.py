"""Shapes of the answers about data and machines: hardware, detect, benchmark, validate, claims, prices, db, doctor."""

from __future__ import annotations

from typing import NotRequired, TypedDict

from estimator.claims.claim import Claim
from estimator.claims.newcomers import NewcomerRow
from estimator.cli.benchmark_memory import MeasuredMemory
from estimator.cli.benchmark_step import StepCheck
from estimator.schemas.document import Document
from estimator.text.checks import Check
from estimator.validation.report import Row, Stratum
from hardware_db.records import Device, Figure, Measurement, Source, System
from hardware_db.store import Snapshot
from profiles.benchmark.drift import FamilyDrift


class HardwareRun(TypedDict):
    """What was asked for."""

    names: list[str]
    sort: str | None
    precision: str | None


class OfferRow(TypedDict):
    """An offer, with the price of one whole device: of a CPU that of all its cores."""

    usd_per_whole_device_hour: float | None


class HardwareRow(TypedDict):
    """A device and its cheapest offer; asked for alone also figures, systems, offers and measurements."""

    estimated: list[str]
    cheapest_usd_per_device_hour: float | None
    cheapest_as_of: str | None
    peak_flops_per_s: float | None
    usd_per_hour_per_pflops: float | None
    figures: NotRequired[list[Figure]]
    systems: NotRequired[list[System]]
    offers: NotRequired[list[OfferRow]]
    measurements: NotRequired[list[Measurement]]
    sources: NotRequired[list[Source]]


class HardwareDocument(Document):
    """Devices of the database."""

    run: HardwareRun
    results: list[HardwareRow]


class CheckRun(TypedDict):
    """The file that was checked."""

    check: str


class FaultRow(TypedDict):
    """A figure that cannot be true."""

    fault: str


class HardwareCheckDocument(Document):
    """A file of own devices, checked (`--check`); ids of its devices and systems."""

    run: CheckRun
    results: list[FaultRow]
    devices: list[str]
    systems: list[str]
    unchecked: list[str]
    remarks: list[str]


class Reported(TypedDict):
    """What the system says of a processor (signature, flags ...) or a driver of a card (units, capability ...)."""

    name: str
    memory_bytes: int | None
    clock_hz: float | None
    signature: NotRequired[str]
    flags: NotRequired[list[str]]
    cores: NotRequired[float]
    threads: NotRequired[float | None]
    units: NotRequired[int | None]
    power_limit_w: NotRequired[float | None]
    capability: NotRequired[str]
    memory_bandwidth_bytes_per_s: NotRequired[float | None]


class DetectRow(TypedDict):
    """A processor or card: what the system says, the row of the database that it is, and how that was found."""

    reported: Reported
    device: Device | None
    estimated: list[str]
    basis: str
    note: str


class DetectDocument(Document):
    """What this machine is."""

    run: dict[str, str]
    results: list[DetectRow]
    notes: list[str]


class DoctorDocument(Document):
    """What works here."""

    run: dict[str, str]
    results: list[Check]


class BenchmarkRow(TypedDict):
    """The profile of one device with all raw times, its name, how it compares with another, and with a model's step."""

    name: str
    drifts: list[FamilyDrift]
    step: StepCheck | None


class BenchmarkDocument(Document):
    """Machines that were timed."""

    run: dict[str, str]
    results: list[BenchmarkRow]


class MemoryRun(TypedDict):
    """Whose memory was measured where."""

    model: str
    device: str


class MeasuredMemoryDocument(Document):
    """Memory of a training step (`--memory`)."""

    run: MemoryRun
    results: list[MeasuredMemory]


class LoaderRow(TypedDict):
    """A data loader that was timed (`--dataloader`)."""

    loader: str
    samples_per_s: float
    samples: int
    batches: int
    seconds: float
    first_batch_s: float
    batch_size: int


class LoaderDocument(Document):
    """What a data loader brings."""

    run: dict[str, str]
    results: list[LoaderRow]


class DoneRow(TypedDict):
    """What was done with a machine profile."""

    done: str
    said: str


class DoneDocument(Document):
    """A machine profile was imported or forgotten."""

    run: dict[str, str]
    results: list[DoneRow]


class CasesRun(TypedDict):
    """The file of cases."""

    cases: str


class ValidateDocument(Document):
    """Predictions beside measurements: by stratum, and case by case."""

    run: CasesRun
    results: list[Stratum]
    strata: list[Stratum]
    rows: list[Row]


class ClaimsDocument(Document):
    """Claims, recomputed."""

    run: dict[str, str]
    results: list[Claim]


class NewcomersDocument(Document):
    """The jobs newcomers start with (`--newcomers`)."""

    run: dict[str, str]
    results: list[NewcomerRow]


class RefreshRun(TypedDict):
    """Whose prices were fetched."""

    providers: list[str]


class RefreshRow(TypedDict):
    """Offers of one provider."""

    provider: str
    offers: int


class RefreshDocument(Document):
    """Today's prices; `left_out`: reason -> how many."""

    run: RefreshRun
    results: list[RefreshRow]
    left_out: dict[str, int]
    snapshot: Snapshot


class ImportRun(TypedDict):
    """The price list."""

    file: str


class ImportDocument(Document):
    """A price list that was imported."""

    run: ImportRun
    results: list[Snapshot]


class HistoryRun(TypedDict):
    """Whose prices."""

    device: str
    today: str


class HistoryRow(TypedDict):
    """Prices of one day, provider and pricing."""

    as_of: str
    provider: str
    pricing: str
    offers: int
    lowest_usd: float
    median_usd: float
    highest_usd: float


class HistoryDocument(Document):
    """What a device cost."""

    run: HistoryRun
    results: list[HistoryRow]


class TableRow(TypedDict):
    """A table of the database of your own."""

    table: str
    rows: int


class StoreDocument(Document):
    """What the database of your own holds."""

    run: dict[str, str]
    results: list[TableRow]
