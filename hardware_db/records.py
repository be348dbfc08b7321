"""What is published of hardware: devices, machines and prices, each figure with its source and date.

Four things that public tables mix are four records: a *device* (one chip, card, package or CPU socket as the framework
or the price list counts it), a *system* (the host around it), an *offer* (a provider's machine at a dated price) and a
*measurement* (what somebody timed, never written into a published row). Base units inside; unknown is None, never 0.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from datetime import date
from typing import Literal

from hardware_db.errors import UnknownPrecision
from hardware_db.units import precision_of_products, to_base

Kind = Literal["cpu", "gpu", "tpu", "npu", "fpga", "edge", "mobile"]
KINDS: tuple[Kind, ...] = ("cpu", "gpu", "tpu", "npu", "fpga", "edge", "mobile")
Use = Literal["training", "inference"]
USES: tuple[Use, ...] = ("training", "inference")
Basis = Literal["vendor", "docs", "derived", "measured", "estimate"]
BASES: tuple[Basis, ...] = ("vendor", "docs", "derived", "measured", "estimate")
Pricing = Literal["on_demand", "spot", "reserved_1y", "reserved_3y", "free"]
PRICINGS: tuple[Pricing, ...] = ("on_demand", "spot", "reserved_1y", "reserved_3y", "free")
OfferKind = Literal["vm", "tpu", "marketplace", "accelerator-only", "notebook"]
OFFER_KINDS: tuple[OfferKind, ...] = ("vm", "tpu", "marketplace", "accelerator-only", "notebook")


@dataclass(frozen=True, slots=True)
class Source:
    """Where figures come from: a document, a table or a price list, with the day it was read."""

    key: str
    title: str
    publisher: str
    url: str
    licence: str
    retrieved: date


@dataclass(frozen=True, slots=True)
class Figure:
    """One published number: what it says, in which unit, who says so, since when and on what ground.

    quantity    one of `database.QUANTITIES`, e.g. "matrix_peak"
    precision   of a peak; "" elsewhere
    accumulate  width of the accumulator of a peak; "" where it has none
    value, unit as published ("989.4", "TFLOP/s"); `base_value` converts
    basis       vendor (its own page), docs (a third party's), derived (by the rule in `note`), measured, estimate
    sources     keys of `Source`
    """

    quantity: str
    precision: str
    accumulate: str
    value: float
    unit: str
    basis: Basis
    sources: tuple[str, ...]
    retrieved: date
    note: str = ""

    @property
    def base_value(self) -> float:
        """The value in the base unit: FLOP/s, byte, byte/s, Hz, W, USD."""
        return to_base(self.value, self.unit)


@dataclass(frozen=True, slots=True)
class Device:
    """One device as it is sold and counted; `accounting_unit` says what one of it is (chip, package, socket ...).

    Peaks are dense FLOP/s (one multiply-add = 2 FLOPs) with 32-bit accumulation, `matrix_peaks` of the matrix engine
    (tensor cores, MXU, AMX), `vector_peaks` of the ordinary units. Links are per direction: `link_bandwidth_*` from one
    device to the others of its host, `bridge_bandwidth_*` only to the card it is bridged to, `internode_bandwidth_*`
    to other hosts. `visible_memory_bytes` is what the driver reports where that was seen; `usable_memory_bytes` is
    that, or the capacity. A CPU has no memory of its own: an offer or a system brings it. `use` is "inference" where
    the maker offers no training on it (Inferentia, Groq, the neural engines of phones and laptops, FPGA toolchains).
    `release_basis` says on what ground the release date stands. Names of precisions may be short ones ("bf16").
    """

    id: str
    kind: Kind
    vendor: str
    name: str
    architecture: str
    status: str
    release_date: date | None
    accounting_unit: str
    compute_unit: str
    logical_devices: int
    aliases: tuple[str, ...] = ()
    link_name: str = ""
    use: Use = "training"
    release_basis: Basis = "docs"
    memory_bytes: int | None = None
    visible_memory_bytes: int | None = None
    memory_bandwidth_bytes_per_s: float | None = None
    matrix_peaks: Mapping[str, float] = field(default_factory=dict, hash=False)
    vector_peaks: Mapping[str, float] = field(default_factory=dict, hash=False)
    compute_units: float | None = None
    boost_clock_hz: float | None = None
    peak_clock_hz: float | None = None
    l2_cache_bytes: int | None = None
    l3_cache_bytes: int | None = None
    link_bandwidth_bytes_per_s: float | None = None
    bridge_bandwidth_bytes_per_s: float | None = None
    internode_bandwidth_bytes_per_s: float | None = None
    host_link_bandwidth_bytes_per_s: float | None = None
    devices_per_host: int | None = None
    tdp_w: float | None = None
    launch_price_usd: float | None = None
    figures: tuple[Figure, ...] = field(default=(), hash=False, repr=False)
    note: str = field(default="", repr=False)

    def peak_flops_per_s(self, precision: str) -> float:
        """Return the dense peak [FLOP/s] that a matrix product in this precision can reach.

        The matrix engine's peak where it has one for that precision, else the vector units'. `amp_bfloat16` multiplies
        in bfloat16. A 16-bit product without a matrix engine runs at the better of the vector 16-bit and the vector
        float32 rate: libraries convert and accumulate in float32 where 16-bit arithmetic is slower (GTX 1080 Ti: 1/64).

        Raises
        ------
        UnknownPrecision
            Nothing is published for it; the message names what is.
        """
        wanted = precision_of_products(precision)
        if wanted in self.matrix_peaks:
            return self.matrix_peaks[wanted]
        if wanted in self.vector_peaks:
            converted = self.vector_peaks.get("float32", 0.0) if wanted in ("float16", "bfloat16") else 0.0
            return max(self.vector_peaks[wanted], converted)
        known = ", ".join(dict.fromkeys([*self.matrix_peaks, *self.vector_peaks])) or "no published peak at all"
        raise UnknownPrecision(
            f"{self.id} has no {precision}. It has {known}. Try another --precision, or leave it out"
        )

    def supports(self, precision: str) -> bool:
        """Whether a peak is published for this precision."""
        wanted = precision_of_products(precision)
        return wanted in self.matrix_peaks or wanted in self.vector_peaks

    def ridge_point(self, precision: str) -> float | None:
        """Return peak over memory bandwidth [FLOP/byte]; None where the bandwidth is unknown."""
        if self.memory_bandwidth_bytes_per_s is None:
            return None
        return self.peak_flops_per_s(precision) / self.memory_bandwidth_bytes_per_s

    @property
    def usable_memory_bytes(self) -> int | None:
        """Memory that a program can have at most: what the driver reports, else the published capacity."""
        return self.memory_bytes if self.visible_memory_bytes is None else self.visible_memory_bytes

    def fraction(self, share: float, memory_bytes: int | None = None) -> Device:
        """Return the part of this device that is rented or seen: peaks, bandwidths, units, cache and power x `share`.

        Above 1 for a machine with several sockets. `memory_bytes` replaces the memory (a CPU's comes with the machine).
        Links are left as they are: they belong to the host.
        """
        return replace(
            self,
            memory_bytes=_times(self.memory_bytes, share) if memory_bytes is None else memory_bytes,
            visible_memory_bytes=_times(self.visible_memory_bytes, share) if memory_bytes is None else None,
            memory_bandwidth_bytes_per_s=_scaled(self.memory_bandwidth_bytes_per_s, share),
            matrix_peaks={precision: peak * share for precision, peak in self.matrix_peaks.items()},
            vector_peaks={precision: peak * share for precision, peak in self.vector_peaks.items()},
            compute_units=_scaled(self.compute_units, share),
            l2_cache_bytes=_times(self.l2_cache_bytes, share),
            l3_cache_bytes=_times(self.l3_cache_bytes, share),
            tdp_w=_scaled(self.tdp_w, share),
            launch_price_usd=_scaled(self.launch_price_usd, share),
            logical_devices=1,
        )

    def within(self, system: System) -> Device:
        """Return this device with the links of a host: to its peers, to other hosts, and how many a host has."""
        return replace(
            self,
            devices_per_host=system.devices_per_host,
            link_bandwidth_bytes_per_s=system.scale_up_bytes_per_s or self.link_bandwidth_bytes_per_s,
            internode_bandwidth_bytes_per_s=system.scale_out_bytes_per_s or self.internode_bandwidth_bytes_per_s,
        )

    def logical_device(self) -> Device:
        """Return one device as torch or jax lists it: one of the two dies of an MI250X, one of a TPU v3's two cores."""
        return self if self.logical_devices == 1 else self.fraction(1 / self.logical_devices)


@dataclass(frozen=True, slots=True)
class System:
    """A host and its network: the same device has 25 GB/s to other hosts in one machine and 6.25 in another.

    Bandwidths are per device and per direction [byte/s]. `scale_up_devices` is how many devices the fast link joins
    (8 in an HGX board, 72 in an NVL72 rack, 256 in a TPU v5e pod); `instances` are the price lists' names for it, or
    patterns of them ("tpu-v4-*").
    """

    id: str
    name: str
    device: str
    devices_per_host: int
    scale_up_devices: int
    topology: str
    scale_up_bytes_per_s: float | None
    scale_out_bytes_per_s: float | None
    host_cpu: str
    host_memory_bytes: int | None
    instances: tuple[str, ...]
    basis: Basis
    sources: tuple[str, ...]
    retrieved: date
    note: str = ""


@dataclass(frozen=True, slots=True)
class Offer:
    """A provider's machine at a price: `usd_per_hour` is for the whole instance with its `device_count` devices.

    A rented CPU machine is a part of a CPU: `cores` of them (2 vCPUs are 1 core where two threads share it), and
    `device_count` is 1. Use `Database.device_of(offer)` for what is really rented; its peaks are the socket's times
    `cores` over the socket's cores, so nobody gets a whole EPYC for the price of 8 vCPUs.
    """

    provider: str
    instance: str
    region: str
    device: str
    device_count: int
    vcpus: float | None
    cores: float | None
    memory_bytes: int | None
    pricing: Pricing
    usd_per_hour: float
    as_of: date
    source: str
    kind: OfferKind
    basis: Basis = "docs"
    note: str = ""

    @property
    def usd_per_device_hour(self) -> float:
        """Price of one device for one hour [USD]; of the rented part for a CPU machine."""
        return self.usd_per_hour / self.device_count

    def age_days(self, today: date | None = None) -> int:
        """How many days ago the price was seen."""
        return ((today or date.today()) - self.as_of).days


@dataclass(frozen=True, slots=True)
class Measurement:
    """What somebody timed on a device; kept apart from what its maker published.

    quantity    e.g. "matmul", "attention", "memory_copy", "launch"
    shape       what ran: "8192x8192x8192", "batch 16, 4096 tokens"
    value, unit in base units: FLOP/s, byte/s, s
    software    versions that decide the figure: "torch 2.13.0, CUDA 13.0"
    source      who measured, where it is published
    """

    device: str
    quantity: str
    precision: str
    shape: str
    value: float
    unit: str
    software: str
    source: str
    as_of: date
    note: str = ""


def _scaled(value: float | None, share: float) -> float | None:
    return None if value is None else value * share


def _times(value: int | None, share: float) -> int | None:
    return None if value is None else round(value * share)
