"""The memory of a measured case: how it was run, as far as its columns and text say, and what that must hold.

    question_of_memory(case, question)          which profile answers it
    settings_of_case(case)                      how the step was run
    predict_memory(case, profile, device)       bytes, range, whether it fits

Only statements are used. What is not stated is taken to be the plain way: no checkpointing, no accumulation, no
optimizer states where no optimizer is named.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any, Final

from estimator.memory import MemoryNeed, MemorySettings, memory_of
from estimator.memory.need import Basis
from estimator.ranges import Range
from estimator.validation.software import PASSES_ALONE

if TYPE_CHECKING:
    from estimator.validation.cases import Case
    from hardware_db import Device
    from profiles.case_trace import ProfileQuestion
    from profiles.model_profile import ModelProfile

OPTIMIZERS: Final = {
    "adamw8bit": "adamw-8bit",
    "adamw8bit_paged": "adamw-8bit-paged",
    "sgd_momentum": "sgd-momentum",
    "lamb": "adam",
    "lars": "sgd-momentum",
    "none": "sgd",
}
"""Names of measured cases -> `estimator.memory.optimizers`; others have the same name in both."""

NOTHING_HELD: Final = "sgd"
"""Where no optimizer is stated, or its step was not measured: no states."""

TECHNIQUES: Final[tuple[tuple[str, dict[str, Any]], ...]] = (
    ("Chunked Cross Entropy", {"chunked_loss": True}),
    ("Fuse optimizer step into backward", {"optimizer_in_backward": True}),
    ("Activation Offloading", {"offloaded": ("activations",)}),
    ("AdamW fused", {"optimizer": "adamw-fused"}),
    ("QLoRA", {"lora_rank": 16, "weight_bits": 4.127}),
    ("LoRA", {"lora_rank": 16}),
    ("/qlora.yaml", {"lora_rank": 16, "weight_bits": 4.127}),
    ("/lora.yaml", {"lora_rank": 16}),
)
"""Words of a case's source and notes -> settings; of several that name the same setting the first counts."""

RECIPES: Final[tuple[tuple[str, str | None, dict[str, Any]], ...]] = (
    (
        "torchtune",
        "adamw8bit_paged",
        {"checkpointing": "full", "optimizer_in_backward": True, "chunked_loss": True},
    ),
    ("torchtune", "adamw", {"optimizer": "adamw-fused"}),
    ("litgpt", "adamw", {"accumulates": True}),
)
"""What a source's published configuration says beyond the columns: (source, optimizer, settings).

torchtune, recipes/configs/llama3_1/8B_full_single_device.yaml: enable_activation_checkpointing, optimizer_in_bwd and a
chunked loss with PagedAdamW8bit; fused AdamW otherwise. litgpt, config_hub/finetune/*/full.yaml: global batches of
several micro-batches.
"""

BEFORE_FUSED_ATTENTION: Final = ("model_memory_anatomy",)
"""Pages measured before BERT called scaled_dot_product_attention (transformers 4.40, April 2024)."""


@dataclass(frozen=True, slots=True)
class MemoryPrediction:
    """What flopcast says of the memory of a case.

    Attributes
    ----------
    peak_memory_bytes
        range of what the measurement shows: 80 % of cases
    need
        all of it, by what holds it
    """

    peak_memory_bytes: Range
    need: MemoryNeed

    @property
    def fits(self) -> bool | None:
        """Whether it more likely fits the device than not; None where the capacity is unknown."""
        risk = self.need.probability_out_of_memory
        return None if risk is None else risk < 0.5


def question_of_memory(case: Case, question: ProfileQuestion) -> ProfileQuestion:
    """Return the question whose answer is the profile for the memory of a case, given that for its time."""
    if any(page in case.source for page in BEFORE_FUSED_ATTENTION) and not question.eager_attention:
        body, mark, head = question.model.partition("#")
        return replace(question, model=f"{body},attn_implementation=eager{mark}{head}", eager_attention=True)
    # The outputs of that script live until the next forward pass has replaced them. Of causal models it also keeps
    # keys and values, which today's implementation does not do alike: they are taken with their own loss.
    if case.training and PASSES_ALONE in case.source and "ForCausalLM" not in case.model:
        return replace(question, loop="sum of logits")
    return question


def settings_of_case(case: Case) -> MemorySettings:
    """Return how the step of a case was run."""
    fields: dict[str, Any] = {
        "optimizer": _optimizer(case),
        "accumulates": case.accumulation > 1,
        "compiled": case.compile == "inductor",
    }
    if case.activation_checkpointing in ("selective", "full"):
        fields["checkpointing"] = case.activation_checkpointing
    if case.zero_stage:
        fields |= {"zero_stage": case.zero_stage, "replicas": case.data_parallel or case.device_count}
    fields |= _said(case)
    if fields.get("optimizer_in_backward") or not case.training:
        fields["accumulates"] = False
    if fields.get("lora_rank"):
        fields["zero_stage"], fields["replicas"] = 0, 1
    return MemorySettings(**fields)


def _said(case: Case) -> dict[str, Any]:
    """What the text of a case and its source's recipe say."""
    text = f"{case.source} {case.notes}"
    found: dict[str, Any] = {}
    for source, optimizer, settings in RECIPES:
        if source in case.source and case.optimizer == optimizer and case.training:
            found |= settings
    for words, settings in reversed(TECHNIQUES):
        if words in text and not ("optimizer" in settings and case.optimizer != "adamw"):
            found |= settings
    return found


def _optimizer(case: Case) -> str | None:
    if not case.training:
        return None
    if case.scope == "forward_backward" or case.optimizer is None:
        return NOTHING_HELD
    return OPTIMIZERS.get(case.optimizer, case.optimizer)


def predict_memory(case: Case, profile: ModelProfile, device: Device) -> MemoryPrediction:
    """Predict the peak memory that was measured of a case.

    Parameters
    ----------
    case
        how it was run
    profile
        of its micro-batch, the answer to `question_of_memory`
    device
        what it ran on

    Raises
    ------
    FlopcastError
        The settings do not suit the model, or the profile has no record of memory.
    """
    need = memory_of(profile, device=device.logical_device(), settings=settings_of_case(case))
    return MemoryPrediction(need.measured_range(_basis(case)), need)


def _basis(case: Case) -> Basis:
    known: tuple[Basis, ...] = ("allocated", "reserved", "nvidia_smi")
    return next((basis for basis in known if basis == case.memory_basis), "allocated")
