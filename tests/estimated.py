"""A small market and the run that tests estimate on it."""

from hand_made import database, device, offer, profile

from estimator import TrainingRun

RUN = TrainingRun(profile(), tokens=1e9, sequence_length=1024, overheads=None)
DEVICES = [
    device("big"),
    device("half", matrix_peaks={"float16": 100e12}),
    device("unlinked", link_bandwidth_bytes_per_s=None),
    device("unmeasured", memory_bandwidth_bytes_per_s=None),
    device("unpriced"),
    device("inferentia2", kind="npu", use="inference"),
    device("epyc", kind="cpu", memory_bytes=None, compute_units=64.0, matrix_peaks={}, tdp_w=360.0,
           vector_peaks={"bfloat16": 8e12, "float32": 4e12}, memory_bandwidth_bytes_per_s=4e11),
]  # fmt: skip
OFFERS = [
    offer("big", 1, 2.0),
    offer("big", 1, 3.0, region="eu-west1"),
    offer("big", 8, 20.0),
    offer("big", 1, 1.0, pricing="spot"),
    offer("half"),
    offer("unlinked", 4),
    offer("unmeasured"),
    offer("inferentia2"),
    offer("epyc", 1, 0.5, cores=4.0, memory_bytes=32 * 2**30),
]
DB = database(DEVICES, OFFERS)


def row_of(rows, id, count=1):
    """Return the row of a device and count."""
    return next(row for row in rows if (row.device.id, row.count) == (id, count))
