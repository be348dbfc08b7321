"""The jobs newcomers start with, each on the hardware that newcomers have."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

from estimator.advice.free_tier import in_sessions
from estimator.claims.asking import run_on
from estimator.ranges import ZERO
from hardware_db.market import free_tiers

if TYPE_CHECKING:
    from estimator.ranges import Range
    from estimator.result import Estimate


@dataclass(frozen=True, slots=True)
class Job:
    """A first training job: name, model, amount of work as `TrainingRun` takes it, and where that is from."""

    name: str
    model: str
    work: Mapping[str, Any]
    source: str


NEWCOMER_JOBS: Final = (
    Job("CNN on MNIST", "mnist-cnn", {"epochs": 14, "dataset_size": 60_000, "global_batch_size": 64},
        "PyTorch's example mnist: 14 epochs, batch 64"),
    Job("ResNet-20 on CIFAR-10", "cifar10-resnet20", {"steps": 64_000, "global_batch_size": 128},
        "arXiv:1512.03385, section 4.2: 64,000 steps, batch 128"),
    Job("LSTM on IMDB", "imdb-lstm", {"epochs": 15, "dataset_size": 25_000, "global_batch_size": 32},
        "Keras' example imdb_lstm: 15 epochs, batch 32, 80 words"),
    Job("DCGAN on CelebA", "dcgan", {"epochs": 5, "dataset_size": 202_599, "global_batch_size": 128},
        "PyTorch's tutorial dcgan_faces: 5 epochs, batch 128"),
    Job("Transformer, base", "transformer-base", {"steps": 100_000, "global_batch_size": 192, "sequence_length": 128},
        "arXiv:1706.03762, section 5: 100,000 steps of about 25,000 tokens"),
    Job("Listen, Attend and Spell", "las", {"epochs": 20, "dataset_size": 28_539, "global_batch_size": 32},
        "LibriSpeech train-clean-100: 28,539 utterances, 20 epochs"),
    Job("BERT fine-tuning on SQuAD", "bert-base",
        {"epochs": 2, "dataset_size": 87_599, "global_batch_size": 32, "sequence_length": 384},
        "arXiv:1810.04805, section 4.2: 87,599 questions, batch 32"),
    Job("GPT-2 small from scratch", "gpt2", {"tokens": 10e9, "global_batch_size": 512, "sequence_length": 1024},
        "github.com/karpathy/llm.c, discussion 481: 10 B tokens, 0.5 M a step"),
)  # fmt: skip


@dataclass(frozen=True, slots=True)
class Place:
    """Hardware that newcomers have; `service` names a free tier."""

    name: str
    device: str
    count: int = 1
    service: str = ""


PLACES: Final = (
    Place("laptop CPU", "core-i7-12700h"),
    Place("Colab T4, free", "t4", 1, "google-colab"),
    Place("Kaggle P100, free", "p100-pcie-16gb", 1, "kaggle"),
    Place("Colab TPU, free", "tpu-v5e", 1, "google-colab"),
    Place("Kaggle TPU v3-8, free", "tpu-v3", 4, "kaggle"),
    Place("one rented RTX 4090", "rtx-4090"),
    Place("TPU v5e-8 slice", "tpu-v5e", 8),
)


@dataclass(frozen=True, slots=True)
class NewcomerRow:
    """One job in one place: hours, dollars (0 on free tiers, None on the laptop), calendar days, why not."""

    job: str
    place: str
    hours: float | None
    usd: float | None
    calendar_days: float | None
    note: str


def newcomer_rows() -> tuple[NewcomerRow, ...]:
    """Return every job in every place."""
    return tuple(_rows())


def _rows() -> Iterator[NewcomerRow]:
    for job in NEWCOMER_JOBS:
        for place in PLACES:
            yield _row(job, place, run_on(job.model, place.device, place.count, **job.work))


def _row(job: Job, place: Place, row: Estimate) -> NewcomerRow:
    if row.run_time is None:
        return NewcomerRow(job.name, place.name, None, None, None, (row.why_not or "").splitlines()[0])
    if not place.service:
        hours = row.run_time.mid / 3600
        laptop = place.name == "laptop CPU"
        return NewcomerRow(job.name, place.name, hours, None if laptop else row.cost_usd, hours / 24, "")
    tier = next(
        each for each in free_tiers()
        if (each.service, each.device, each.device_count, each.pricing)
        == (place.service, place.device, place.count, "free")
    )  # fmt: skip
    lent = _without_provisioning(row)
    plan, hours = in_sessions(tier, lent), lent.mid / 3600
    sessions = f"{plan.sessions} sessions" if (plan.sessions or 0) > 1 else ""
    return NewcomerRow(job.name, place.name, hours, 0.0, plan.calendar_days, plan.why_not or sessions)


def _without_provisioning(row: Estimate) -> Range:
    """Return the run time of a machine that is not rented: a notebook is there when it is asked for."""
    assert row.whole is not None
    return sum((part.seconds for part in row.whole.parts if part.name != "provisioning"), ZERO)
