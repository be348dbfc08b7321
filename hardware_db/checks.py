"""What figures must satisfy before anybody may rely on them; run in the tests and on a user's own files.

The rules catch what public tables get wrong: sparse peaks quoted as dense (twice too high), per-core or per-board
figures, GeForce's 16-bit-accumulate rate, bidirectional links, a price per GPU taken for a machine. Each returns the
faults it finds as sentences; known exceptions stand in `data/exceptions.csv`, each with its reason.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from datetime import date
from functools import cache

from hardware_db.devices import BASE_UNITS, PEAKS
from hardware_db.rates import clock_of, rate_of
from hardware_db.records import Device, Figure, Offer, System
from hardware_db.tables import rows
from hardware_db.units import UNITS

#: How far a published peak may lie from units x rate x clock (vendors round; 7 of 30 checked parts differ at all).
TOLERANCE = 0.03
#: FLOP/byte that a device's best peak may need: below, the bandwidth is a total; above, the peak is (or is sparse).
RIDGE_POINTS = (1.0, 700.0)
#: USD for one accelerator for one hour: below is a coupon, above is a price per month or per machine.
ACCELERATOR_HOUR_USD = (0.02, 60.0)

Rule = Callable[[Device], Iterator[str]]


def check_devices(devices: Iterable[Device]) -> list[str]:
    """Return what is wrong with these devices, one sentence a fault; nothing means all rules hold."""
    return [
        f"{device.id}: {fault}"
        for device in devices
        for name, rule in DEVICE_RULES.items()
        if (name, device.id) not in exceptions()
        for fault in rule(device)
    ]


def check_systems(systems: Iterable[System], devices: Mapping[str, Device]) -> list[str]:
    """Return what is wrong with these systems: fast links of part of a host, links faster than memory or network."""
    return [f"{system.id}: {fault}" for system in systems for fault in _system_faults(system, devices[system.device])]


def check_offers(offers: Iterable[Offer], devices: Mapping[str, Device]) -> list[str]:
    """Return what is wrong with these offers: unknown devices, impossible prices, duplicates, spot above on demand."""
    offers = tuple(offers)
    faults = [f"{_machine(offer)}: {fault}" for offer in offers for fault in _offer_faults(offer, devices)]
    return faults + list(_duplicates(offers)) + list(_dear_spots(offers))


@cache
def exceptions() -> Mapping[tuple[str, str], str]:
    """Return the known exceptions: (rule, device id) to the reason."""
    return {(row["rule"], row["device"]): row["reason"] for row in rows("exceptions.csv")}


def _well_formed(device: Device) -> Iterator[str]:
    """Every figure is above 0, in a unit of its kind, with a source, a date that has come and one row only."""
    seen: set[tuple[str, str, str]] = set()
    for figure in device.figures:
        key = (figure.quantity, figure.precision, figure.accumulate)
        if key in seen:
            yield f"{_label(figure)} stands there twice"
        seen.add(key)
        yield from (f"{_label(figure)} {fault}" for fault in _figure_faults(figure))


def _figure_faults(figure: Figure) -> Iterator[str]:
    if not figure.value > 0:
        yield f"is {figure.value:g}; unknown figures are left out"
    if figure.unit not in UNITS or UNITS[figure.unit][0] != BASE_UNITS[figure.quantity]:
        yield f"is in {figure.unit!r}, not a unit of {BASE_UNITS[figure.quantity]}"
    if not figure.sources:
        yield "has no source"
    if figure.retrieved > date.today():
        yield f"was read on {figure.retrieved}, which is to come"
    if (figure.quantity in PEAKS) != bool(figure.precision and figure.accumulate):
        yield "must name precision and accumulator if it is a peak, and only then"
    if figure.basis == "derived" and not figure.note:
        yield "is derived but does not say how"


def _matrix_rate(device: Device) -> Iterator[str]:
    """A dense matrix peak is units x rate x clock, and half of that on GeForce (32-bit accumulator)."""
    clock = clock_of(device, "matrix")
    for precision, peak in device.matrix_peaks.items():
        rate = rate_of(device, "matrix", precision)
        if rate is None or clock is None or device.compute_units is None:
            continue
        share = 0.5 if halves_wide_accumulation(device) else 1.0
        expected = device.compute_units * rate * clock * share
        if not _near(peak, expected):
            yield f"{precision} peak is {peak / 1e12:.4g} TFLOP/s, units x rate x clock gives {expected / 1e12:.4g}"


def halves_wide_accumulation(device: Device) -> bool:
    """Whether 16-bit products run at half rate with a 32-bit accumulator, as on every GeForce since Turing."""
    return any("GeForce" in name for name in (device.name, *device.aliases))


def _vector_rate(device: Device) -> Iterator[str]:
    """The float32 vector peak is units x lanes x 2 x clock."""
    rate, clock = rate_of(device, "vector", "float32"), clock_of(device, "vector")
    peak = device.vector_peaks.get("float32")
    if rate is None or peak is None or clock is None or device.compute_units is None:
        return
    expected = device.compute_units * rate * clock
    if not _near(peak, expected):
        yield f"float32 vector peak is {peak / 1e12:.4g} TFLOP/s, units x rate x clock gives {expected / 1e12:.4g}"


def _tf32(device: Device) -> Iterator[str]:
    """On NVIDIA, tf32 runs at half the rate of bfloat16."""
    tf32, half = device.matrix_peaks.get("tf32"), device.matrix_peaks.get("bfloat16")
    if device.vendor == "NVIDIA" and tf32 and half and not _near(2 * tf32, half):
        yield f"tf32 is {tf32 / half:.3f} of bfloat16, not a half"


def _sixteen_bits(device: Device) -> Iterator[str]:
    """float16 and bfloat16 run at the same rate on a matrix engine."""
    first, second = device.matrix_peaks.get("float16"), device.matrix_peaks.get("bfloat16")
    if first and second and not _near(first, second):
        yield f"float16 is {first / 1e12:.4g} and bfloat16 {second / 1e12:.4g} TFLOP/s"


def _narrow_formats(device: Device) -> Iterator[str]:
    """float8 is 1 or 2 times bfloat16, float4 1 to 4 times float8, int8 1, 2 or 4 times float16: else it is sparse."""
    peaks = device.matrix_peaks
    for narrow, wide, ratios in (
        ("float8", "bfloat16", (1, 2)),
        ("float4", "float8", (1, 2, 3, 4)),
        ("int8", "float16", (1, 2, 4)),
    ):
        if narrow in peaks and wide in peaks and not any(_near(peaks[narrow], r * peaks[wide]) for r in ratios):
            yield f"{narrow} is {peaks[narrow] / peaks[wide]:.2f} times {wide}"


def _ridge_point(device: Device) -> Iterator[str]:
    """The best 16- or 32-bit peak needs between 1 and 700 FLOPs a byte."""
    peaks = [device.peak_flops_per_s(p) for p in ("float16", "bfloat16", "float32") if device.supports(p)]
    if not peaks or device.memory_bandwidth_bytes_per_s is None:
        return
    ridge = max(peaks) / device.memory_bandwidth_bytes_per_s
    if not RIDGE_POINTS[0] <= ridge <= RIDGE_POINTS[1]:
        yield f"ridge point {ridge:.3g} FLOP/byte"


def _matrix_over_vector(device: Device) -> Iterator[str]:
    """A matrix engine is faster than the vector units at the same precision."""
    for precision, peak in device.matrix_peaks.items():
        if precision in device.vector_peaks and peak < device.vector_peaks[precision] * (1 - TOLERANCE):
            yield f"{precision}: matrix peak below vector peak"


def _links(device: Device) -> Iterator[str]:
    """A link is per direction, so it is slower than the memory; the network is slower than the link of the host."""
    link, memory = device.link_bandwidth_bytes_per_s, device.memory_bandwidth_bytes_per_s
    if link and memory and link > memory:
        yield f"link {link / 1e9:.4g} GB/s above the memory's {memory / 1e9:.4g}"
    outside = device.internode_bandwidth_bytes_per_s
    if link and outside and outside > link and "PCIe" not in device.link_name:
        yield f"network {outside / 1e9:.4g} GB/s above the link's {link / 1e9:.4g}"


DEVICE_RULES: Mapping[str, Rule] = {
    "well_formed": _well_formed,
    "matrix_rate": _matrix_rate,
    "vector_rate": _vector_rate,
    "tf32": _tf32,
    "sixteen_bits": _sixteen_bits,
    "narrow_formats": _narrow_formats,
    "ridge_point": _ridge_point,
    "matrix_over_vector": _matrix_over_vector,
    "links": _links,
}


def _system_faults(system: System, device: Device) -> Iterator[str]:
    if system.scale_up_devices % system.devices_per_host:
        yield (
            f"the fast link joins {system.scale_up_devices} devices, which is no multiple of "
            f"{system.devices_per_host} a host"
        )
    link, memory = system.scale_up_bytes_per_s, device.memory_bandwidth_bytes_per_s
    if link and memory and link > memory:
        yield f"scale-up bandwidth {link / 1e9:.4g} GB/s above that of the device's memory, {memory / 1e9:.4g}"
    outside = system.scale_out_bytes_per_s
    if link and outside and outside > link and system.topology != "pcie":
        yield f"scale-out bandwidth {outside / 1e9:.4g} GB/s above the scale-up bandwidth, {link / 1e9:.4g}"


def _offer_faults(offer: Offer, devices: Mapping[str, Device]) -> Iterator[str]:
    device = devices.get(offer.device)
    if device is None:
        yield f"unknown device {offer.device!r}"
        return
    if offer.device_count < 1 or not offer.usd_per_hour > 0:
        yield f"{offer.device_count} devices for {offer.usd_per_hour:g} USD"
        return
    low, high = ACCELERATOR_HOUR_USD
    if device.kind != "cpu" and not low <= offer.usd_per_device_hour <= high:
        yield f"{offer.usd_per_device_hour:.4g} USD per device hour is outside {low:g} to {high:g}"
    if (device.kind == "cpu") != (offer.cores is not None):
        yield "a CPU machine states its cores, and only a CPU machine"
    if offer.as_of > date.today():
        yield f"dated {offer.as_of}, which is to come"
    if not offer.source:
        yield "has no source"


def _duplicates(offers: Iterable[Offer]) -> Iterator[str]:
    seen: set[tuple[object, ...]] = set()
    for offer in offers:
        key = (offer.provider, offer.instance, offer.region, offer.pricing, offer.as_of)
        if key in seen:
            yield f"{_machine(offer)}: two prices of {offer.as_of}"
        seen.add(key)


def _dear_spots(offers: Iterable[Offer]) -> Iterator[str]:
    """Yield spot prices above the dearest on-demand price of the same machine, region and month."""
    dearest: dict[tuple[object, ...], float] = {}
    spots = []
    for offer in offers:
        key = (offer.provider, offer.instance, offer.region, offer.as_of.year, offer.as_of.month)
        if offer.pricing == "spot":
            spots.append((key, offer))
        elif offer.pricing == "on_demand":
            dearest[key] = max(dearest.get(key, 0.0), offer.usd_per_hour)
    for key, offer in spots:
        if key in dearest and offer.usd_per_hour > dearest[key]:
            yield f"{_machine(offer)}: spot {offer.usd_per_hour:g} above on demand {dearest[key]:g}"


def _machine(offer: Offer) -> str:
    return f"{offer.provider} {offer.instance} in {offer.region} ({offer.pricing})"


def _label(figure: Figure) -> str:
    return f"{figure.quantity} {figure.precision}".strip()


def _near(value: float, expected: float) -> bool:
    return abs(value / expected - 1) <= TOLERANCE
