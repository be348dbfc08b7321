"""Seconds of a written token against published measurements: `python benchmarks/serving_accuracy.py`.

published_serving.csv holds what two sources measured of the phase that writes, each with its commit: transformers as it
comes (eager), and gpt-fast (compiled), whose weights are quantized in some rows. None of it was seen by the fit of the
times.
"""

from __future__ import annotations

import csv
from pathlib import Path
from statistics import median

from estimator.ranges import Range
from estimator.serving import Dialogue, writing_on
from hardware_db import load
from profiles import recall
from profiles.request import ProfileRequest


def predicted(row: dict[str, str]) -> Range:
    """Return the seconds of a further token of a row's sequences."""
    profile = recall.profile(row["model"], ProfileRequest(mode="forward", precision=row["precision"]))
    bits = float(row["weight_bits"]) if row["weight_bits"] else None
    asked = Dialogue(*(int(row[name]) for name in ("batch_size", "prompt_tokens", "answer_tokens")), bits)
    return writing_on(profile, load().device(row["device"]), asked, compiled=bool(row["compiled"])).token


def main() -> None:
    """Print each row, and the errors of all."""
    with Path(__file__).with_name("published_serving.csv").open(encoding="utf-8", newline="") as file:
        rows = list(csv.DictReader(file))
    errors, inside = [], 0
    for row in rows:
        token, measured = predicted(row), float(row["seconds_per_token"])
        errors.append(abs(token.mid / measured - 1))
        inside += token.low <= measured <= token.high
        bits = f", {row['weight_bits']} bits" if row["weight_bits"] else ""
        way = f"{row['batch_size']:>2} {'compiled' if row['compiled'] else 'eager'}{bits}"
        span = f"{1e3 * token.mid:.1f} ({1e3 * token.low:.1f}-{1e3 * token.high:.1f})"
        print(f"{row['device']:14} {row['model']:13} × {way:19} {1e3 * measured:5.1f} ms, {span}")
    print(f"{len(rows)} rows: median error {median(errors):.1%}, worst {max(errors):.0%}, in range {inside}")


if __name__ == "__main__":
    main()
