"""The figures of a device that its times follow from, one value an operation where the precision decides."""

from __future__ import annotations

from dataclasses import dataclass, replace
from datetime import date
from functools import lru_cache
from typing import TYPE_CHECKING, Final

import numpy as np
from numpy.typing import NDArray

from estimator.timing.settings import EAGER, EXECUTIONS, Execution, Floats, MemoryFormat
from hardware_db.errors import UsageError

if TYPE_CHECKING:
    from hardware_db import Device
    from profiles.tables import OperationTable

Mask = NDArray[np.bool_]

REFERENCE_YEAR: Final = 2018.0
REFERENCE_RIDGE: Final = 139.0
"""FLOPs a byte at the ridge of a V100's tensor cores: 125 TFLOP/s over 900 GB/s."""

FULL_ENGINE: Final = 1024.0
"""FLOPs in 16 bits that the matrix engines of a multiprocessor do a clock where they are not throttled: a V100's 125
TFLOP/s at 80 x 1.53 GHz. Those of GeForce cards do half of it where sums are kept in 32 bits (NVIDIA, Ampere GA102
whitepaper, table 9)."""

OPERAND_BYTES: Final = {"float64": 8.0, "float32": 4.0, "tf32": 4.0, "float8": 1.0, "int8": 1.0, "int4": 0.5}
"""What matrix engines read an operand; others 2."""

WINOGRAD_VENDORS: Final = ("NVIDIA", "AMD")
ARRAY_SIDE: Final = {"TPU v6e": 256, "TPU v7": 256}
"""Architecture of a TPU -> side of its matrix unit where that is not `USUAL_SIDE` (jax, pallas/mosaic/tpu_info.py,
`mxu_column_size`)."""

USUAL_SIDE: Final = 128
MEGACORE: Final = 0.89
"""Share of the rate of two cores that they reach as one device, every product divided between them: what MaxText
published for TPU v4 (configs/v4, 22 billion parameters on 64 to 512 chips), beside chips of one core."""

COMPUTED_IN: Final = {"float16": "float32", "bfloat16": "float32", "float8": "float32"}
"""Element-wise arithmetic runs in wider registers (PyTorch's opmath type) and at their rate."""


@dataclass(frozen=True, eq=False)
class Machine:
    """What the formulas of time ask of a device. Every field is one value, or one for every operation of a table.

    Attributes
    ----------
    peak
        dense FLOP/s of products in the operation's precision; nan for operations without products
    matrix
        whether that is the rate of a matrix engine
    rate_factor
        how much faster products are on this device than on most, where that was measured
    vector_peak
        FLOP/s of element-wise arithmetic; inf where unknown
    bandwidth
        bytes/s of the device's memory
    units
        independent units (streaming multiprocessors, compute units, cores) that blocks of a product are dealt to
    power_w
        power limit; inf where it or the year (and with it the energy of a FLOP) is unknown
    year
        of release, as a decimal number
    hosted
        whether a host issues the operations; a CPU is its own
    array_side
        rows and columns of a systolic matrix unit, that products are padded to; 1 for devices that tile freely
    channels_last
        whether images are laid out like that
    winograd
        whether its library has Winograd's algorithm for 3 x 3 convolutions: cuDNN and MIOpen do, Apple's does not
    style
        index into `EXECUTIONS`
    l2_bytes
        of the cache that all units share; 1 where none is published: nothing is found in it again
    ridge
        FLOPs of a product a byte of memory traffic, beside `REFERENCE_RIDGE`
    operand
        bytes of an operand of a matrix engine beside those of 16 bits: the energy of a FLOP grows with them
    engine
        what a multiprocessor's matrix engines do a clock beside `FULL_ENGINE`, at most 1; 1 where vendors do not say
    """

    peak: Floats
    matrix: Mask
    rate_factor: Floats
    vector_peak: Floats
    bandwidth: Floats
    units: Floats
    power_w: Floats
    year: Floats
    hosted: Mask
    array_side: Floats
    channels_last: Mask
    winograd: Mask
    style: NDArray[np.intp]
    l2_bytes: Floats
    ridge: Floats
    operand: Floats
    engine: Floats

    def at(self, rows: NDArray[np.intp]) -> Machine:
        """Return the machine of these operations."""
        fields = {name: getattr(self, name) for name in self.__dataclass_fields__}
        return Machine(**{name: value[rows] if value.ndim else value for name, value in fields.items()})


def machine_of(table: OperationTable, device: Device, execution: Execution, memory_format: MemoryFormat) -> Machine:
    """Read a device's figures for the operations of a table.

    Raises
    ------
    UnknownPrecision
        a matrix product runs in a precision for which the device publishes no peak
    UsageError
        the device publishes no memory bandwidth
    """
    peak, matrix = product_peaks(table, device)
    vector = table.precision.map({name: vector_peak(device, name) for name in table.precision.names})
    machine = large_product(device, peak, matrix, operand_sizes(table, device))
    return replace(
        machine,
        vector_peak=vector,
        channels_last=np.asarray(memory_format == "channels_last"),
        style=np.asarray(EXECUTIONS.index(execution)),
    )


def large_product(device: Device, peak: Floats, matrix: Mask, operand: Floats) -> Machine:
    """Return a device's figures for large products with this peak, of a matrix engine or not, and size of operands.

    Raises
    ------
    UsageError
        the device publishes no memory bandwidth
    """
    if device.memory_bandwidth_bytes_per_s is None:
        raise UsageError(f"no memory bandwidth of {device.id} is known")
    return Machine(
        peak=peak,
        matrix=matrix,
        rate_factor=np.asarray(MEGACORE if device.kind == "tpu" and (device.compute_units or 1) > 1 else 1.0),
        vector_peak=np.asarray(np.inf),
        bandwidth=np.asarray(device.memory_bandwidth_bytes_per_s),
        units=np.asarray(float(device.compute_units or 1)),
        power_w=np.asarray(device.tdp_w if device.tdp_w and device.release_date else np.inf),
        year=np.asarray(release_year(device)),
        hosted=np.asarray(device.kind != "cpu"),
        array_side=np.asarray(float(ARRAY_SIDE.get(device.architecture, USUAL_SIDE) if device.kind == "tpu" else 1)),
        channels_last=np.asarray(False),
        winograd=np.asarray(device.vendor in WINOGRAD_VENDORS),
        style=np.asarray(EAGER),
        l2_bytes=np.asarray(float(device.l2_cache_bytes or 1.0) if device.kind == "gpu" else 1.0),
        ridge=np.asarray(peak / device.memory_bandwidth_bytes_per_s / REFERENCE_RIDGE),
        operand=operand,
        engine=engine_share(device, peak * operand),
    )


def engine_share(device: Device, peak_16_bits: Floats) -> Floats:
    """Return the FLOPs a clock and multiprocessor beside `FULL_ENGINE`, at most 1; 1 where it is not known."""
    if device.vendor != "NVIDIA" or not device.compute_units or not device.boost_clock_hz:
        return np.ones_like(peak_16_bits)
    share: Floats = peak_16_bits / (device.compute_units * device.boost_clock_hz * FULL_ENGINE)
    return np.asarray(np.minimum(np.nan_to_num(share, nan=1.0), 1.0))


def operand_size(device: Device, precision: str) -> float:
    """Return the bytes of an operand beside 16 bits where a matrix engine multiplies it; 1 on vector units."""
    return OPERAND_BYTES.get(precision, 2.0) / 2.0 if precision in device.matrix_peaks else 1.0


def operand_sizes(table: OperationTable, device: Device) -> Floats:
    """Return `operand_size` of every product, 1 for other operations."""
    size = np.ones(len(table))
    for precision, is_convolution, rows in product_groups(table):
        size[rows] = operand_size(device, multiplied_in(device, precision, is_convolution))
    return size


def product_peaks(table: OperationTable, device: Device) -> tuple[Floats, Mask]:
    """Return the peak of every product, and whether a matrix engine has it; nan and False for other operations.

    Raises
    ------
    UnknownPrecision
        the device publishes no peak for the precision of a product
    """
    peak, matrix = np.full(len(table), np.nan), np.zeros(len(table), dtype=np.bool_)
    for precision, is_convolution, rows in product_groups(table):
        name = multiplied_in(device, precision, is_convolution)
        peak[rows], matrix[rows] = device.peak_flops_per_s(name), name in device.matrix_peaks
    return peak, matrix


@lru_cache(maxsize=4096)
def product_groups(table: OperationTable) -> tuple[tuple[str, bool, NDArray[np.intp]], ...]:
    """Return the rows of products by precision and by whether they are convolutions."""
    products, convolution = table.engine.mask("matrix"), table.family.mask("convolution")
    found = []
    for code in np.unique(table.precision.codes[products]):
        of_precision = products & (table.precision.codes == code)
        for kind, chosen in ((False, of_precision & ~convolution), (True, of_precision & convolution)):
            if chosen.any():
                found.append((table.precision.names[code], kind, np.flatnonzero(chosen)))
    return tuple(found)


def multiplied_in(device: Device, precision: str, convolution: bool) -> str:
    """Return the precision a product really runs in.

    PyTorch lets cuDNN's float32 convolutions use TF32 by default, but not cuBLAS's float32 products ("TensorFloat-32 on
    Ampere and later devices", docs.pytorch.org/docs/stable/notes/cuda.html). A device without TF32 runs float32.
    """
    if precision == "float32" and convolution and "tf32" in device.matrix_peaks and device.vendor == "NVIDIA":
        return "tf32"
    return "float32" if precision == "tf32" and not device.supports("tf32") else precision


def vector_peak(device: Device, precision: str) -> float:
    """Return the rate of element-wise arithmetic in FLOP/s; inf where none is published: bytes alone decide then."""
    return device.vector_peaks.get(COMPUTED_IN.get(precision, precision)) or np.inf


def release_year(device: Device) -> float:
    """Return the year of release as a decimal number; the reference year where it is unknown."""
    if device.release_date is None:
        return REFERENCE_YEAR
    return device.release_date.year + (device.release_date - date(device.release_date.year, 1, 1)).days / 365.25
