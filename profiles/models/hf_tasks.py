"""What a model reads and what training tells it, by task of transformers' auto classes. No torch."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

# Targets of pre-training in Raffel et al. 2020, arXiv 1910.10683, section 3.1.4: 512 tokens in, 114 out.
T5_TARGET_TOKENS = 114
T5_FAMILY = ("t5", "mt5", "umt5")
Reads = Literal["text", "image", "audio", "text and image", "series"]


@dataclass(frozen=True, slots=True)
class TaskKind:
    """`reads` decides which sizes the model has, `labels` names a rule of hf_labels.

    Without a rule the mean of the outputs is minimised: where the task's loss (CTC, matching of boxes) has no symbolic
    kernel, or there is none.
    """

    reads: Reads
    labels: str = ""


TASK_KINDS: dict[str, TaskKind] = {
    "CAUSAL_LM": TaskKind("text", "tokens"),
    "MASKED_LM": TaskKind("text", "tokens"),
    "SEQ_TO_SEQ_CAUSAL_LM": TaskKind("text", "targets"),
    "PRETRAINING": TaskKind("text", "pretraining"),
    "SEQUENCE_CLASSIFICATION": TaskKind("text", "class"),
    "TOKEN_CLASSIFICATION": TaskKind("text", "token classes"),
    "QUESTION_ANSWERING": TaskKind("text", "span"),
    "MULTIPLE_CHOICE": TaskKind("text", "choice"),
    "NEXT_SENTENCE_PREDICTION": TaskKind("text", "class"),
    "TEXT_ENCODING": TaskKind("text"),
    "IMAGE_TEXT_TO_TEXT": TaskKind("text and image", "tokens"),
    "MULTIMODAL_LM": TaskKind("text and image", "tokens"),
    "VISUAL_QUESTION_ANSWERING": TaskKind("text and image", "answers"),
    "DOCUMENT_QUESTION_ANSWERING": TaskKind("text and image", "span"),
    "ZERO_SHOT_IMAGE_CLASSIFICATION": TaskKind("text and image", "contrastive"),
    "ZERO_SHOT_OBJECT_DETECTION": TaskKind("text and image"),
    "RETRIEVAL": TaskKind("text and image"),
    "IMAGE": TaskKind("image"),
    "IMAGE_CLASSIFICATION": TaskKind("image", "class"),
    "VIDEO_CLASSIFICATION": TaskKind("image", "class"),
    "SEMANTIC_SEGMENTATION": TaskKind("image", "pixel classes"),
    "IMAGE_SEGMENTATION": TaskKind("image"),
    "INSTANCE_SEGMENTATION": TaskKind("image"),
    "UNIVERSAL_SEGMENTATION": TaskKind("image"),
    "OBJECT_DETECTION": TaskKind("image"),
    "DEPTH_ESTIMATION": TaskKind("image"),
    "MASKED_IMAGE_MODELING": TaskKind("image", "masked patches"),
    "CAUSAL_IMAGE_MODELING": TaskKind("text", "tokens"),
    "IMAGE_TO_IMAGE": TaskKind("image"),
    "BACKBONE": TaskKind("image"),
    "MASK_GENERATION": TaskKind("image"),
    "KEYPOINT_DETECTION": TaskKind("image"),
    "KEYPOINT_MATCHING": TaskKind("image"),
    "POSE_ESTIMATION": TaskKind("image"),
    "IMAGE_MATTING": TaskKind("image"),
    "NORMAL_ESTIMATION": TaskKind("image"),
    "POINTMAP_ESTIMATION": TaskKind("image"),
    "TABLE_RECOGNITION": TaskKind("image"),
    "TEXT_RECOGNITION": TaskKind("image"),
    "SPEECH_SEQ_2_SEQ": TaskKind("audio", "targets"),
    "CTC": TaskKind("audio"),
    "RNNT": TaskKind("audio"),
    "TDT": TaskKind("audio"),
    "AUDIO_CLASSIFICATION": TaskKind("audio", "class"),
    "AUDIO_FRAME_CLASSIFICATION": TaskKind("audio"),
    "AUDIO_XVECTOR": TaskKind("audio", "class"),
    "AUDIO_TOKENIZATION": TaskKind("audio"),
    "TEXT_TO_SPECTROGRAM": TaskKind("text"),
    "TEXT_TO_WAVEFORM": TaskKind("text"),
    "TIME_SERIES_CLASSIFICATION": TaskKind("series"),
    "TIME_SERIES_REGRESSION": TaskKind("series"),
    "TIME_SERIES_PREDICTION": TaskKind("series"),
    "DECISION": TaskKind("text"),
}
# Bare models, and tasks that a newer transformers may add.
PLAIN = TaskKind("text")


def task_kind(task: str) -> TaskKind:
    """Look a task up; unknown ones and bare models read text unless their inputs show otherwise."""
    return TASK_KINDS.get(task, PLAIN)
