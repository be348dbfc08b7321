"""Which profile answers a case: model, mode, precision, optimizer, sizes and attention. Nothing here needs torch."""

from __future__ import annotations

from typing import Final

from estimator.validation.cases import Case
from estimator.validation.software import software_of
from hardware_db.errors import UsageError
from hardware_db.units import parse_precision
from profiles.case_trace import ProfileQuestion

OPTIMIZERS: Final = {
    "sgd_momentum": "sgd-momentum",
    "lars": "sgd-momentum",
    "adamw8bit": "adamw",
    "adamw8bit_paged": "adamw",
    "lamb": "adam",
}
"""Optimizers of measured runs that PyTorch lacks, by the one of PyTorch that moves most nearly as much."""

DEFAULT_OPTIMIZER: Final = "adamw"
LEFT_OUT_OPTIMIZER: Final = "sgd"
"""Where no optimizer step was measured any will do: its operations are left out of the time."""

TRACED_AS: Final = {"cpu": "cpu", "tpu": "tpu"}
"""Kind of device -> device type whose kernels are traced; all others are traced as CUDA."""


def question_of(case: Case, kind: str) -> ProfileQuestion:
    """Return the question whose answer is the profile of a case on a device of this kind.

    Raises
    ------
    UsageError
        The case does not say its batch size or its precision.
    """
    if case.micro_batch_size is None:
        raise UsageError("the micro-batch size is not stated")
    if case.precision is None:
        raise UsageError("the precision is not stated")
    software = software_of(case)
    precision = parse_precision(case.precision)
    return ProfileQuestion(
        model=_model(case.model, software.eager_attention),
        mode="train" if case.training else "forward",
        precision=precision.removeprefix("amp_") if software.half_weights else precision,
        optimizer=_optimizer(case),
        batch_size=case.micro_batch_size,
        sequence_length=case.sequence_length,
        image_size=case.image_size,
        eager_attention=software.eager_attention,
        device=TRACED_AS.get(kind, "cuda"),
    )


def _optimizer(case: Case) -> str | None:
    """Optimizer of a training step; a default where none is stated, also where no optimizer step was measured."""
    if not case.training:
        return None
    if case.scope == "forward_backward":
        return LEFT_OUT_OPTIMIZER
    if case.optimizer in (None, "none"):
        return DEFAULT_OPTIMIZER
    return OPTIMIZERS.get(case.optimizer, case.optimizer)


def _model(model: str, eager_attention: bool) -> str:
    if not (eager_attention and model.startswith("hf:")):
        return model
    body, mark, head = model.partition("#")
    return f"{body},attn_implementation=eager{mark}{head}"
