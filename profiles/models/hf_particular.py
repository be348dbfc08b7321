"""Inputs that only one model type takes, by the type: what its own processor would make of one sample."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from profiles.models.hf_request import Request, first
from profiles.models.tensors import floats, integers, ones

# Frames of speech that one letter lasts.
FRAMES_PER_LETTER = 4


def inputs(request: Request, fed: dict[str, Any]) -> dict[str, Any]:
    """Make what is particular to the model type, given what is fed already; nothing for most."""
    maker = _MAKERS.get(request.config.model_type)
    return maker(request, fed) if maker else {}


def _spoken(request: Request, fed: dict[str, Any]) -> dict[str, Any]:
    """Letters with what each should sound like (FastSpeech 2)."""
    config = getattr(request.config, "model_config", request.config)
    letters, batch = request.sequence, request.batch
    frames = letters * FRAMES_PER_LETTER
    return {
        "input_ids": integers(config.vocab_size, batch, letters),
        "spectrogram_labels": floats(batch, frames, config.num_mel_bins),
        "duration_labels": ones(batch, letters) * FRAMES_PER_LETTER,
        "pitch_labels": floats(batch, letters, 1),
        "energy_labels": floats(batch, letters, 1),
    }


def _codebooks(request: Request, fed: dict[str, Any]) -> dict[str, Any]:
    """One id per codebook and place (Kyutai's speech to text: the text and 32 of sound)."""
    books = int(request.config.num_codebooks) + 1
    return {"input_ids": integers(100, request.batch, request.sequence, books)}


def _dialogue(request: Request, fed: dict[str, Any]) -> dict[str, Any]:
    """Text read, one id per channel and place written (Dia)."""
    channels = first(getattr(request.config.decoder_config, "num_channels", None), 9)
    return {
        "decoder_input_ids": integers(1000, request.batch, request.sequence, channels),
        "labels": integers(1000, request.batch * channels, request.sequence),
    }


def _sounding(request: Request, fed: dict[str, Any]) -> dict[str, Any]:
    """Ids of every codebook, [batch x codebooks, sequence] (MusicGen)."""
    decoder = request.part("decoder")
    books = first(getattr(decoder, "num_codebooks", None), 4)
    return {"input_ids": integers(decoder.vocab_size, request.batch * books, request.sequence)}


def _queried(request: Request, fed: dict[str, Any]) -> dict[str, Any]:
    """Features of an image that the queries look at (Q-Former)."""
    return {"encoder_hidden_states": floats(request.batch, 257, request.config.encoder_hidden_size)}


def _prompted(request: Request, fed: dict[str, Any]) -> dict[str, Any]:
    """An image like the one to segment, and its mask (SegGPT)."""
    return {name: floats(*fed["pixel_values"].shape) for name in ("prompt_pixel_values", "prompt_masks")}


def _questioned(request: Request, fed: dict[str, Any]) -> dict[str, Any]:
    """Places of the questions in the text and of their answers, one a sample (Splinter)."""
    place = integers(request.sequence, request.batch, 1)
    return {"question_positions": place, "start_positions": place, "end_positions": place}


def _heard(request: Request, fed: dict[str, Any]) -> dict[str, Any]:
    """Ten seconds of sound at 16 kHz in front of any encoder."""
    return {"input_values": floats(request.batch, 160_000)}


def _grounded(request: Request, fed: dict[str, Any]) -> dict[str, Any]:
    """Which places of the text hold the image (KOSMOS-2)."""
    import torch

    places, batch = int(request.config.latent_query_num), request.batch
    text = integers(request.vocabulary, batch, places + request.sequence)
    mask = torch.arange(text.shape[1], device="cpu").repeat(batch, 1) < places
    return {"input_ids": text, "image_embeds_position_mask": mask}


def _regions(request: Request, fed: dict[str, Any]) -> dict[str, Any]:
    """What the words with the regions of the image behind them should be (VisualBERT)."""
    places = request.sequence + fed["visual_embeds"].shape[1]
    return {
        "labels": integers(request.vocabulary, request.batch, places),
        "sentence_image_labels": integers(2, request.batch),
        "attention_mask": ones(request.batch, request.sequence),
        "visual_token_type_ids": ones(*fed["visual_embeds"].shape[:2]),
    }


def _asked(request: Request, fed: dict[str, Any]) -> dict[str, Any]:
    """The task in words (OneFormer)."""
    return {"task_inputs": floats(request.batch, int(request.config.task_seq_len))}


def _named(request: Request, fed: dict[str, Any]) -> dict[str, Any]:
    """Names of four classes to look for, and the task in words (OmDet)."""
    import torch

    batch, classes, tokens = request.batch, 4, 16
    names = integers(request.vocabulary, batch * classes, tokens)
    task = integers(request.vocabulary, batch, tokens)
    return {
        "classes_input_ids": names,
        "classes_attention_mask": ones(*names.shape),
        "tasks_input_ids": task,
        "tasks_attention_mask": ones(*task.shape),
        "classes_structure": torch.full((batch,), classes, device="cpu"),
    }


def _acting(request: Request, fed: dict[str, Any]) -> dict[str, Any]:
    """State of a robot and the actions it should take (pi0)."""
    config, batch = request.config, request.batch
    return {
        "state": floats(batch, config.max_state_dim),
        "actions": floats(batch, config.chunk_size, config.max_action_dim),
        "noise": floats(batch, config.chunk_size, config.max_action_dim),
        "timestep": floats(batch),
    }


Maker = Callable[[Request, dict[str, Any]], dict[str, Any]]
_MAKERS: dict[str, Maker] = {
    "fastspeech2_conformer": _spoken,
    "fastspeech2_conformer_with_hifigan": _spoken,
    "kyutai_speech_to_text": _codebooks,
    "dia": _dialogue,
    "musicgen": _sounding,
    "musicgen_melody": _sounding,
    "musicgen_decoder": _sounding,
    "blip_2_qformer": _queried,
    "instructblip_qformer": _queried,
    "seggpt": _prompted,
    "splinter": _questioned,
    "speech-encoder-decoder": _heard,
    "kosmos-2": _grounded,
    "visual_bert": _regions,
    "oneformer": _asked,
    "omdet-turbo": _named,
    "pi0": _acting,
}
