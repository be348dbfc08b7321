"""Recurrent layers of DeepBench beside what flopcast says of them, and beside a flat share of a large product.

    PYTHONPATH=. python benchmarks/recurrent_layers.py OPERATORS.parquet

The table has a row a measurement: device, op ("rnn:recurrent layers - lstm"), pass (fwd, bwd_input, bwd_weight),
dtype, B samples, M steps, H features, latency_ms (github.com/baidu-research/DeepBench, results/train). DeepBench leaves
out the product with the input (CUDNN_SKIP_INPUT), so it is left out here. Nothing of the formula is fitted to it.
"""

from __future__ import annotations

from pathlib import Path

import click
import numpy as np
import pandas as pd

from estimator.timing.machine import large_product, operand_size
from estimator.timing.parameters import parameters_of
from estimator.timing.rates import sustained_rate
from estimator.timing.recurrent import recurrent_seconds
from estimator.timing.work import Recurrent
from hardware_db import load

DEVICES = {
    "NVIDIA V100 SXM2 (DGX-1)": "v100-sxm2-16gb",
    "NVIDIA P100 PCIe 16GB": "p100-pcie-16gb",
    "NVIDIA TITAN X (Pascal)": "titan-x-pascal",
    "NVIDIA GeForce GTX 1080 Ti": "gtx-1080-ti",
    "NVIDIA TITAN X (Maxwell)": "gtx-titan-x",
}
PRECISIONS = {"fp32": "float32", "fp16(mixed math)": "float16"}
GATES = {"lstm": 4, "gru": 3, "vanilla": 1}
SHARE = 0.3
"""Of a large product, that recurrent layers were taken to reach before."""
MANY = 64


def layers(path: Path) -> pd.DataFrame:
    """Return one row a layer: what was measured of its forward and backward pass, in seconds."""
    found = pd.read_parquet(path)
    found = found[found.op.str.startswith("rnn") & found.device.isin(DEVICES) & found["dtype"].isin(PRECISIONS)]
    names = ["device", "dtype", "op", "B", "M", "H"]
    wide = found.pivot_table(index=names, columns="pass", values="latency_ms").reset_index()
    wide["forward"], wide["backward"] = wide.fwd / 1e3, (wide.bwd_input + wide.bwd_weight) / 1e3
    return wide


def predicted(row: pd.Series, products: int) -> tuple[float, float]:
    """Return the seconds of a pass with so many products a weight, and those at a flat share of a large product."""
    device, precision = load().device(DEVICES[row["device"]]), PRECISIONS[row["dtype"]]
    samples, steps, features = (float(row[name]) for name in ("B", "M", "H"))
    gates = GATES[row["op"].split("- ")[1]] * features
    flops = 2 * samples * gates * features * steps * products
    size, one = 4.0 if precision == "float32" else 2.0, np.ones(1)
    peak, matrix = device.peak_flops_per_s(precision), precision in device.matrix_peaks
    operand = np.asarray(operand_size(device, precision))
    on = large_product(device, np.asarray(peak), np.asarray(matrix), operand)
    moved = size * (gates * features + 2 * samples * steps * gates)
    work = Recurrent(
        np.zeros(1, dtype=np.intp), samples * one, gates * one, features * one, steps * one, flops * one, size * one,
        moved * one,
    )  # fmt: skip
    p = parameters_of("gpu")
    return float(recurrent_seconds(work, on, p)[0][0]), float(flops / (SHARE * sustained_rate(on, p)))


@click.command()
@click.argument("path", type=click.Path(exists=True, path_type=Path))
def main(path: Path) -> None:
    """Print the median error and the bias of both passes, of all layers and of those with many samples."""
    found = layers(path)
    for name, products in (("forward", 1), ("backward", 2)):
        ratios = np.array([predicted(row, products) for _, row in found.iterrows()]) / found[[name]].to_numpy()
        for text, rows in (("all", found.B > 0), (f"{MANY} samples or more", found.B >= MANY)):
            ours, flat = np.median(np.abs(ratios[rows.to_numpy()] - 1), axis=0)
            bias = np.median(ratios[rows.to_numpy(), 0]) - 1
            click.echo(f"{name:9} {text:20} {rows.sum():4} layers  {ours:6.1%} ({bias:+.0%})  flat share {flat:6.1%}")


if __name__ == "__main__":
    main()
