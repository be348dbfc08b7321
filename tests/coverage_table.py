"""docs/coverage.md from the results of coverage_sweep.py."""

from __future__ import annotations

import csv
from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass
from importlib.metadata import version
from pathlib import Path
from typing import Any

DOCUMENT = Path(__file__).parents[1] / "docs" / "coverage.md"
PUBLISHED = Path(__file__).parent / "published_timm.csv"
KINDS = {"hf": "transformers", "timm": "timm"}
HEAD = """# Coverage: which models of transformers and timm can be traced

One training step (forward, loss, backward, AdamW) of every model type of transformers {transformers} that has a model
class, and of every model of timm {timm}. A model type of transformers is built from its default configuration with two
layers per part, mended where the default is none that can be built (`profiles/models/hf_mended.py`); batch 2 and at
most 64 tokens. A model of timm is built whole, batch 2, images of the size it was published for. A step without matrix
products in both passes counts as not traced.

`.venv/bin/python tests/coverage_sweep.py` traces what `build/coverage.jsonl` does not have yet,
`.venv/bin/python tests/coverage_sweep.py --write` writes this page; `pytest -m slow tests/test_models_coverage.py`
traces everything again.

{summary}
Rungs: *meta* symbolic tensors; *fake* symbolic tensors with the kernels of the CPU; *cpu* run for real, because values
decide what is computed. *guessed*: symbolic, with some values that decide assumed, as every profile of such a model
says.
"""
AGREEMENT = """## Against published figures

Multiply-adds of one image's forward pass in the steps above, beside those of
timm's table, results/benchmark-infer-amp-nhwc-pt240-cu124-rtx3090.csv of huggingface/pytorch-image-models at 5c33776
(`tests/published_timm.csv`, a sample): of {compared} networks {agreeing} agree to 2 % or to the table's last digit.
fvcore made that table. It counts batch norm with the products, two operations an element, which shows in the smallest
networks: with these added all agree but ConvMixer, of which it lacks the depthwise convolutions, whose padding is given
as a word; networks without normalisation (nf_), where it probably counts the standardising of weights too (not traced);
and swinv2_cr, which makes its position biases once a batch, here of two.

{rows}
Of the networks of torchvision 98 agree with the figure published with their weights to its last digit, detectors among
them. The other 11 are other networks or inputs: segmentation models were published with a second head, RAFT with larger
images, and detectors that found few objects in theirs (`tests/test_published_tables.py` holds these and timm's).
"""
LAST_DIGIT = 0.0051


@dataclass(frozen=True)
class Totals:
    """How many models of one package there are, were tried, and were traced."""

    package: str
    known: int
    tried: int
    traced: int

    @property
    def share(self) -> float:
        """Traced of those tried."""
        return self.traced / max(1, self.tried)


def totals(rows: Iterable[dict[str, Any]], known: Iterable[str]) -> list[Totals]:
    """Count by package."""
    rows, known = list(rows), list(known)
    found = []
    for kind, package in KINDS.items():
        mine = [row for row in rows if row["model"].startswith(f"{kind}:")]
        traced = sum("refused" not in row for row in mine)
        found.append(Totals(package, sum(name.startswith(f"{kind}:") for name in known), len(mine), traced))
    return found


def write(results: dict[str, dict[str, Any]], known: list[str]) -> None:
    """Write the page."""
    rows = [results[name] for name in known if name in results]
    summary = "| package | models | tried | traced | share of tried |\n| --- | ---: | ---: | ---: | ---: |\n"
    for t in totals(rows, known):
        summary += f"| {t.package} | {t.known:,} | {t.tried:,} | {t.traced:,} | {100 * t.share:.1f} % |\n"
    parts = [HEAD.format(transformers=version("transformers"), timm=version("timm"), summary=summary)]
    parts += [_refused(rows), _agreement(results), _traced(rows)]
    DOCUMENT.write_text("\n".join(parts))


def _refused(rows: list[dict[str, Any]]) -> str:
    lines = [f"| {row['model']} | {_cell(row['refused'])} |" for row in rows if "refused" in row]
    return "\n".join(["## Not traced", "", "| model | reason |", "| --- | --- |", *lines, ""])


def _agreement(results: dict[str, dict[str, Any]]) -> str:
    with PUBLISHED.open() as file:
        table = {f"timm:{row['model']}": float(row["gmacs"]) for row in csv.DictReader(file)}
    found = {name: results[name].get("forward", 0) / 2 / 2 / 1e9 for name in table if name in results}  # batch 2
    apart = [name for name in found if abs(found[name] - table[name]) > max(0.02 * table[name], LAST_DIGIT)]
    lines = [f"| {name.removeprefix('timm:')} | {found[name]:.3f} | {table[name]:g} |" for name in apart]
    rows = "\n".join(["| model | flopcast, G | timm's table, G |", "| --- | ---: | ---: |", *lines, ""])
    return AGREEMENT.format(compared=len(found), agreeing=len(found) - len(apart), rows=rows)


def _traced(rows: list[dict[str, Any]]) -> str:
    found = [row for row in rows if "refused" not in row]
    rungs = ", ".join(f"{rung} {count:,}" for rung, count in Counter(map(_rung, found)).most_common())
    lines = [f"| {row['model']} | {row.get('class', '')} | {_rung(row)} | {_cell(row['why'])} |" for row in found]
    table = ["| model | class | rung | why not higher |", "| --- | --- | --- | --- |"]
    return "\n".join(["## Traced", "", f"Rungs: {rungs}.", "", *table, *lines, ""])


def _rung(row: dict[str, Any]) -> str:
    return "guessed" if row["guesses"] else str(row["rung"])


def _cell(text: str) -> str:
    return " ".join(text.replace("|", "/").split())[:160]
