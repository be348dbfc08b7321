"""The eight claims, each recomputed."""

from __future__ import annotations

import math
from typing import Any, Final

from estimator.claims.asking import profile_of, run_on, split_over, usd_per_hour
from estimator.claims.claim import Claim, Line, facts, sources
from estimator.parallel.costs import Setting
from estimator.parallel.network import network_of
from estimator.parallel.parallelism import Parallelism
from estimator.parallel.stack import own_stack
from estimator.parallel.step import parallel_step
from hardware_db import load

HOUR_S: Final = 3600.0
YEAR_H: Final = 365.25 * 24
LAPTOP: Final = "core-i7-12700h"
SERVER: Final = "xeon-platinum-8480-plus"
GPT3_BATCH: Final = 1536
"""Sequences of 2,048 tokens: 3.2 M tokens (Brown et al., 2020, table 2.1)."""


def claims() -> tuple[Claim, ...]:
    """Return all claims, recomputed."""
    return tuple(each() for each in (_gpt3, _bert, _gpt2, _resnet, _lstm, _gpt3_hours, _cpu_and_gpu, _doubling))


def _value(claim: str, name: str) -> float:
    return facts(claim)[name].value


def gpt3_flops() -> float:
    """Return our count of GPT-3's training: model FLOPs of forward and backward of all tokens."""
    profile = profile_of("gpt3-175b", "amp_float16")
    tokens = profile.batch_size * (profile.sequence_length or 1)
    per_token = (profile.model_flops.forward + profile.model_flops.backward) / tokens
    return per_token * _value("gpt3-v100", "tokens")


def _gpt3() -> Claim:
    flops, rate = _value("gpt3-v100", "flops"), _value("gpt3-v100", "flops_per_s")
    hours, price = flops / rate / HOUR_S, _value("gpt3-v100", "usd_per_hour")
    ours, alone = gpt3_flops(), _alone_hours("v100-pcie-32gb")
    steps = _value("gpt3-v100", "tokens") / 2048 / GPT3_BATCH
    plan = split_over("gpt3-175b", "h100-sxm", 1024, GPT3_BATCH)
    days = plan.seconds * steps / 86400
    usd = days * 24 * 1024 * usd_per_hour("h100-sxm")
    fits = run_on("gpt3-175b", "v100-pcie-32gb", precision="amp_float16", tokens=_value("gpt3-v100", "tokens"))
    peak = load().device("v100-pcie-32gb").peak_flops_per_s("float16")
    return Claim(
        "gpt3-v100",
        "GPT-3 on one V100: 355 years, 4.6 million dollars",
        f"{_value('gpt3-v100', 'claimed_years'):,.0f} years and ${_value('gpt3-v100', 'claimed_usd'):,.0f}",
        (
            Line("time", hours / YEAR_H, "years", f"{flops:.3g} FLOPs / {rate:.3g} FLOP/s, all of it reached"),
            Line("cost", hours * price, "USD", f"{hours:,.0f} h × ${price:.2f}"),
        ),
        (
            Line("operations", ours / 1e21, "ZFLOPs (1e21)", "of forward and backward, attention in full"),
            Line("one V100, were it large enough", alone / YEAR_H, "years", "predicted steps, float16 on tensor cores"),
            Line("memory", (fits.peak_memory_bytes or 0) / 2**30, "GiB", "of a V100's 32: it does not fit, by far"),
            Line("1,024 × H100", days, "days", f"{plan.split}, fastest split found"),
            Line("1,024 × H100", usd, "USD", f"at ${usd_per_hour('h100-sxm'):.2f} an hour and device, the cheapest"),
        ),
        "The arithmetic is right and its premises are not: 28 TFLOP/s is the V100's vector peak, reached in full, "
        f"while its tensor cores have {peak / 1e12:.0f}; the model never fits one; and 355 years are device-years. By "
        f"luck it is within {abs(1 - hours / _value('gpt3-v100', 'real_device_hours')):.0%} of what GPT-3 really took, "
        "14.8 days of 10,000 V100.",
        sources("gpt3-v100"),
    )  # fmt: skip


def _alone_hours(device: str) -> float:
    """Hours of GPT-3 on one device whose memory is no limit."""
    part = load().device(device).logical_device()
    profile = profile_of("gpt3-175b", "amp_float16").at(batch_size=2)
    setting = Setting(part, network_of(part, None), own_stack(part, False))
    step = parallel_step(profile, Parallelism(), setting, GPT3_BATCH // 2)
    return step.total.mid * _value("gpt3-v100", "tokens") / 2048 / GPT3_BATCH / HOUR_S


def _bert() -> Claim:
    devices, base, hours = (_value("bert", name) for name in ("large_devices", "base_devices", "hours"))
    price, chips = _value("bert", "usd_per_device_hour"), int(devices * _value("bert", "chips_per_device"))
    mixed, whole = _bert_hours("tpu-v2", chips), _bert_hours("tpu-v2", chips, short_share=0.0)
    eight = _bert_hours("h100-sxm", 8)
    return Claim(
        "bert",
        "BERT: four days on 16 Cloud TPUs, about 7,000 dollars",
        "BERT-large on 16 Cloud TPUs, BERT-base on 4, four days each; about $7,000",
        (
            Line("BERT-large", devices * hours * price, "USD", f"{devices:.0f} × {hours:.0f} h × ${price:.2f}"),
            Line("BERT-base", base * hours * price, "USD", f"{base:.0f} × {hours:.0f} h × ${price:.2f}"),
        ),
        (
            Line(f"BERT-large on {chips} chips of TPU v2", mixed, "h", "90 % of steps with 128 tokens, 10 % with 512"),
            Line("the same, all steps with 512 tokens", whole, "h", "what a tool says that does not know the recipe"),
            Line("BERT-large on 8 × H100", eight, "h", "the same recipe"),
            Line("BERT-large on 8 × H100", eight * 8 * usd_per_hour("h100-sxm"), "USD", "the cheapest price on demand"),
        ),
        f"The dollars follow from the hours: list price, one try, no failures. The hours are the software's of 2018: "
        f"flopcast, fitted to steps of later years, needs {mixed / hours:.2g} of them. The mix of lengths is the "
        f"whole game: at 512 tokens throughout it would be {whole / mixed:.2g} times the work. A Cloud TPU is 4 chips.",
        sources("bert"),
    )  # fmt: skip


def _bert_hours(device: str, count: int, short_share: float | None = None) -> float:
    """Hours of BERT-large's recipe: short sequences for most of the steps, long ones for the rest."""
    share = _value("bert", "short_share") if short_share is None else short_share
    steps, batch = _value("bert", "steps"), int(_value("bert", "batch"))
    parts = ((128, share), (512, 1 - share))
    rows = [
        run_on("bert-large", device, count, steps=round(steps * part), global_batch_size=batch, sequence_length=length)
        for length, part in parts
        if part
    ]
    return sum((row.run_time_s or math.nan) for row in rows) / HOUR_S


def _gpt2() -> Claim:
    cores, each, price = (_value("gpt2", name) for name in ("cores", "cores_per_device", "usd_per_device_hour"))
    devices, hours, tokens = cores / each, _value("gpt2", "hours"), _value("gpt2", "tokens")
    then = split_over("gpt2-xl", "tpu-v3", int(cores), 512)
    steps = tokens / 1024 / 512
    now = run_on("gpt2-xl", "h100-sxm", 8, tokens=tokens, global_batch_size=512, sequence_length=1024)
    return Claim(
        "gpt2",
        "GPT-2 on 256 TPU v3 cores: 256 dollars an hour",
        "256 TPU v3 cores at $256 per hour; no number of hours is given",
        (
            Line("price", devices * price, "USD/h", f"{cores:.0f} cores / {each:.0f} a device × ${price:.2f}"),
            Line("with 168 hours", devices * price * hours, "USD", "hours named elsewhere"),
        ),
        (
            Line("on 128 chips of TPU v3", then.seconds * steps / HOUR_S, "h", f"{tokens:.3g} tokens, {then.split}"),
            Line("on 8 × H100", (now.run_time_s or math.nan) / HOUR_S, "h", "the same tokens"),
            Line("on 8 × H100", now.cost_usd or math.nan, "USD", now.offer.provider if now.offer else "no offer"),
        ),
        "The price per hour is exact and says little without the hours: tokens and passes were never published. What "
        "is called 32 chips elsewhere are 32 devices of 4 chips.",
        sources("gpt2"),
    )  # fmt: skip


def _resnet() -> Claim:
    epochs, images = _value("resnet", "epochs"), int(_value("resnet", "images"))
    work: dict[str, Any] = {"epochs": epochs, "dataset_size": images, "global_batch_size": 256}
    rows = {
        "1 × V100 16 GB, float32": run_on("resnet50", "v100-sxm2-16gb", precision="float32", **work),
        "1 × V100 16 GB, mixed precision": run_on("resnet50", "v100-sxm2-16gb", **work),
        "1 × A100 80 GB, mixed precision": run_on("resnet50", "a100-sxm-80gb", **work),
        "8 × H100, mixed precision": run_on("resnet50", "h100-sxm", 8, **work),
    }
    first = next(iter(rows.values())).run_time_s or math.nan
    return Claim(
        "resnet",
        "ResNet-50: 70 hours",
        "70 hours, no device named",
        (Line("published", _value("resnet", "measured_hours"), "h", "90 epochs on 1 × V100 in float32, TensorFlow"),),
        tuple(Line(name, (row.run_time_s or math.nan) / HOUR_S, "h", "90 epochs") for name, row in rows.items()),
        f"Of the right order for one device of that time in float32: flopcast says {first / HOUR_S:.3g} h. Mixed "
        "precision and newer devices take a fraction of it, see above. Data loading is not in the prediction.",
        sources("resnet"),
    )  # fmt: skip


def _lstm() -> Claim:
    rows = [
        (
            f"a small LSTM on IMDB, {name}",
            run_on("imdb-lstm", device, epochs=10, dataset_size=25_000, global_batch_size=32),
        )
        for device, name in ((LAPTOP, "a laptop's CPU"), ("v100-sxm2-16gb", "1 × V100"))
    ]
    return Claim(
        "lstm",
        "LSTM: 30 hours",
        "30 hours",
        (Line("8 layers for translation", _value("lstm", "gnmt_hours"), "h", "published: GNMT, 1 × V100, float32"),),
        tuple(Line(name, (row.run_time_s or math.nan) / 60, "min", "10 epochs of 25,000") for name, row in rows),
        "Cannot be answered: which layers and widths, which data and how often, which length of sequence, which device "
        "and precision? LSTMs take minutes to days. Given a model: flopcast estimate file.py:function --samples N.",
        sources("lstm"),
    )  # fmt: skip


def _gpt3_hours() -> Claim:
    hours, flops = _value("gpt3-hours", "claimed_hours"), _value("gpt3-v100", "flops")
    implied = flops / (hours * HOUR_S)
    peak = load().device("a100-sxm-80gb").peak_flops_per_s("bfloat16")
    steps = _value("gpt3-v100", "tokens") / 2048 / GPT3_BATCH
    lines = []
    for device, count in (("a100-sxm-80gb", 1024), ("h100-sxm", 1024)):
        plan = split_over("gpt3-175b", device, count, GPT3_BATCH)
        used = plan.seconds * steps * count / HOUR_S
        lines.append(Line(f"{count:,} × {device}", used, "device-hours", f"{plan.split}"))
        lines.append(Line(f"{count:,} × {device}", used / count, "h", "wall clock"))
    return Claim(
        "gpt3-hours",
        "GPT-3: 500,000 hours",
        "500,000 hours",
        (
            Line("as wall clock of one device", hours / YEAR_H, "years", "57 years: nobody waited"),
            Line("implied speed", implied / 1e12, "TFLOP/s", f"{implied / peak:.0%} of an A100's peak"),
        ),
        tuple(lines),
        f"Only sensible as device-hours of an A100. It contradicts the 355 years of a V100 "
        f"({_value('gpt3-v100', 'claimed_years') * YEAR_H / 1e6:.1f} M hours) by "
        f"{_value('gpt3-v100', 'claimed_years') * YEAR_H / hours:.1f} times: tell device-hours from wall clock.",
        sources("gpt3-hours"),
    )  # fmt: skip


def _cpu_and_gpu() -> Claim:
    low, high = _value("cpu-gpu", "claimed_gpu_minutes_low"), _value("cpu-gpu", "claimed_gpu_minutes_high")
    minutes = _value("cpu-gpu", "claimed_cpu_minutes")
    pairs = ((LAPTOP, "t4"), (LAPTOP, "rtx-4090"), (SERVER, "a100-sxm-80gb"), (SERVER, "h100-sxm"))
    lines = []
    for model in ("mnist-cnn", "resnet50", "bert-base"):
        for cpu, gpu in pairs:
            times = [run_on(model, device, steps=10, global_batch_size=32).step_time_s for device in (cpu, gpu)]
            lines.append(Line(f"{model}: {cpu} over {gpu}", (times[0] or math.nan) / (times[1] or math.nan), "times",
                              "predicted steps of 32 samples"))  # fmt: skip
    return Claim(
        "cpu-gpu",
        "Two hours on a CPU are 10 to 20 minutes on a GPU",
        "2 h on a CPU, 10-20 min on a GPU",
        (Line("least", minutes / high, "times", "120 / 20 min"), Line("most", minutes / low, "times", "120 / 10 min")),
        tuple(lines),
        "No source names model or devices. The ratio is a property of all three: small networks wait for the launch of "
        "kernels and gain little, large ones on a laptop gain far more than 12 times. MLPerf's server sockets against "
        "data-centre GPUs: 10 to 35 times.",
        sources("cpu-gpu"),
    )


def _doubling() -> Claim:
    first, last, months = (_value("doubling", name) for name in ("first_flops", "last_flops", "months"))
    doublings = math.log2(last / first)
    return Claim(
        "doubling",
        "Compute doubles every 3.4 months since 2012",
        f"a doubling every {_value('doubling', 'claimed_months')} months, 300,000 times since 2012",
        (
            Line("by its factor", months / math.log2(_value("doubling", "claimed_factor")), "months", "300,000 times"),
            Line("from end to end", months / doublings, "months", f"{first:.2g} to {last:.3g} FLOPs in {months:.1f}"),
        ),
        (Line("a run of GPT-3, our count", gpt3_flops() / last, "times AlphaGo Zero", "32 months later"),),
        f"True of the largest runs of 2012 to 2017; a line through all notable models to 2022 doubles every "
        f"{_value('doubling', 'later_months')} months. At 3.4 months GPT-3 would have been "
        f"{2 ** (32 / 3.4):,.0f} times AlphaGo Zero.",
        sources("doubling"),
    )  # fmt: skip
