"""A model, devices and offers small enough to work out by hand; shared by the tests of the estimator."""

from datetime import date

from hardware_db import Database, Device, Offer
from hardware_db.records import System
from profiles.model_profile import ModelProfile
from profiles.records import Operation
from profiles.trace_record import LiveBytes, RawTrace, fit_growth

WIDTH, LAYERS = 1024, 10
PARAMETERS = LAYERS * WIDTH * WIDTH
POINTS = ((2, 16), (3, 16), (4, 16), (2, 32), (2, 48), (3, 48))


def operation(name, family, engine, phase, flops, read, written, count=LAYERS, precision="bfloat16"):
    return Operation(
        operator=name,
        family=family,
        phase=phase,
        module="h.[0-9]" if count == LAYERS else "",
        inputs=(),
        outputs=(),
        precision=precision,
        engine=engine,
        flops=flops,
        model_flops=flops,
        executed_flops=flops,
        bytes_read=read,
        bytes_written=written,
        count=count,
    )


def raw_trace(batch, length, precision="bfloat16"):
    """Ten layers of y = relu(x W), width 1024, two bytes an element, and an optimizer with two states."""
    tokens, weight = batch * length, WIDTH * WIDTH
    product, row = 2 * tokens * weight, 2 * tokens * WIDTH
    operations = [
        operation("aten.mm", "matmul", "matrix", "forward", product, row + 2 * weight, row, precision=precision),
        operation("aten.relu", "activation", "vector", "forward", tokens * WIDTH, row, row, precision=precision),
        operation("aten.mm", "matmul", "matrix", "backward", 2 * product, row, row + 2 * weight, precision=precision),
        operation("aten._fused_adamw_", "optimizer", "vector", "optimizer", 12 * weight, 8 * weight, 6 * weight,
                  precision="float32"),
    ]  # fmt: skip
    return RawTrace(operations, timeline(row), batch, length)


def timeline(row):
    state = {"buffer_bytes": 0, "optimizer_state_bytes": 4 * PARAMETERS, "input_bytes": row}
    moments = [("forward", 0, 0), ("forward", 0, LAYERS * row), ("backward", PARAMETERS, LAYERS * row // 2),
               ("optimizer", 2 * PARAMETERS, 0)]  # fmt: skip
    return [
        LiveBytes(phase, "", 2 * PARAMETERS, gradient_bytes=gradient, activation_bytes=activation, **state)
        for phase, gradient, activation in moments
    ]


def profile(points=POINTS, **changes):
    precision = changes.get("precision", "bfloat16")
    trace = fit_growth([raw_trace(batch, length, precision) for batch, length in points])
    fields = {
        "model": "ten-layers",
        "mode": "train",
        "precision": precision,
        "optimizer": "adamw",
        "device": "cuda",
        "parameters": PARAMETERS,
        "trainable_parameters": PARAMETERS,
        "trace": trace,
    }
    return ModelProfile(**(fields | changes))


def device(id="big", **changes):
    fields = {
        "id": id,
        "kind": "gpu",
        "vendor": "NVIDIA",
        "name": id.upper(),
        "architecture": "Test",
        "status": "available",
        "release_date": None,
        "accounting_unit": "card",
        "compute_unit": "SM",
        "logical_devices": 1,
        "memory_bytes": 80_000_000_000,
        "memory_bandwidth_bytes_per_s": 2e12,
        "matrix_peaks": {"bfloat16": 400e12},
        "vector_peaks": {"float32": 20e12},
        "link_bandwidth_bytes_per_s": 300e9,
        "internode_bandwidth_bytes_per_s": 25e9,
        "devices_per_host": 8,
        "tdp_w": 400.0,
    }
    return Device(**(fields | changes))


def offer(device="big", count=1, usd=2.0, **changes):
    fields = {
        "provider": "alpha",
        "instance": f"{device}-x{count}",
        "region": "us-east1",
        "device": device,
        "device_count": count,
        "vcpus": 8.0 * count,
        "cores": None,
        "memory_bytes": 64_000_000_000 * count,
        "pricing": "on_demand",
        "usd_per_hour": usd,
        "as_of": date(2026, 11, 1),
        "source": "a price list",
        "kind": "vm",
    }
    return Offer(**(fields | changes))


def database(devices, offers, systems: tuple[System, ...] = ()):
    found = Database({each.id: each for each in devices}, tuple(offers))
    vars(found)["systems"] = tuple(systems)
    return found
