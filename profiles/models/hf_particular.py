"""Inputs that only one model type takes, by the type: what its own processor would make of one sample."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from profiles.models.hf_labels import IGNORED
from profiles.models.hf_request import Request, first
from profiles.models.tensors import floats, integers, ones

# Frames of speech that one letter lasts.
FRAMES_PER_LETTER = 4
# Frames of a clip where the model takes any number.
FRAMES_OF_A_CLIP = 16


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
    codes = integers(decoder.vocab_size, request.batch * books, request.sequence)
    return {"input_ids" if decoder is request.config else "decoder_input_ids": codes}


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
    return {"input_ids": text, "image_embeds_position_mask": mask, "labels": text.clone()}


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
    """Image of one camera in front of the text, state of a robot and the actions it should take (pi0)."""
    import torch

    config, batch = request.config, request.batch
    seen = config.vlm_config.vision_config
    side = first(seen.image_size, 224)
    token = int(config.vlm_config.image_token_id)
    places = torch.full((batch, (side // first(seen.patch_size, 14)) ** 2), token, device="cpu")
    text = integers(min(request.vocabulary, token), batch, request.sequence)
    return {
        "input_ids": torch.cat([places, text], dim=1),
        "pixel_values": floats(batch, 1, 3, side, side),
        "pixel_attention_mask": ones(batch, 1).bool(),
        "state": floats(batch, config.max_state_dim),
        "actions": floats(batch, config.chunk_size, config.max_action_dim),
        "noise": floats(batch, config.chunk_size, config.max_action_dim),
        "timestep": floats(batch),
    }


def _seen_in_one_row(request: Request, fed: dict[str, Any]) -> dict[str, Any]:
    """Patches of all images side by side, [1, channels, patch, patches x patch], and each image's grid (MiniCPM-V)."""
    import torch

    patch, side = request.patch, max(4, request.image_side // request.patch // 4 * 4)
    grids = torch.tensor([[side, side]] * request.batch, device="cpu")
    return {
        "pixel_values": floats(1, request.channels, patch, request.batch * side * side * patch),
        "target_sizes": grids,
    }


def _filmed_with_sound(request: Request, fed: dict[str, Any]) -> dict[str, Any]:
    """A clip and its sound, ten seconds at 48 kHz (Perception Encoder)."""
    height, width = request.image_shape
    return {
        "pixel_values_videos": floats(request.batch, FRAMES_OF_A_CLIP, 3, height, width),
        "input_values": floats(request.batch, 1, 480_000),
    }


def _as_it_is_spoken(request: Request, fed: dict[str, Any]) -> dict[str, Any]:
    """As much sound as text: eight mel frames for every token (Voxtral Realtime)."""
    mels = int(request.config.audio_config.num_mel_bins)
    frames = request.sequence * first(request.config.downsample_factor, 4) * 2
    return {
        "input_ids": integers(request.vocabulary, request.batch, request.sequence),
        "labels": integers(request.vocabulary, request.batch, request.sequence),
        "input_features": floats(request.batch, mels, frames),
        "num_delay_tokens": 6,
    }


def _delayed(request: Request, fed: dict[str, Any]) -> dict[str, Any]:
    """How long after the sound the text comes, as a vector (Voxtral Realtime's text part)."""
    return {"t_cond": floats(1, 1, request.config.hidden_size)}


def _drafted(request: Request, fed: dict[str, Any]) -> dict[str, Any]:
    """Tokens to draft, and what the large model made of those before (Muse Glimmer's assistant)."""
    config = request.config
    return {
        "noise_embeds": floats(request.batch, config.block_size, config.hidden_size),
        "context_hidden_states": floats(
            request.batch, request.sequence, config.hidden_size * len(config.target_layer_ids)
        ),
    }


def _transcribed(request: Request, fed: dict[str, Any]) -> dict[str, Any]:
    """No targets: the model puts more places than it was given in front of the text (Nemotron 3.5 Transcribe)."""
    return {"labels": None}


def _decided(request: Request, fed: dict[str, Any]) -> dict[str, Any]:
    """One question of four options, read at the last token (JEV)."""
    return {
        "marks": ones(1, 1) * (request.sequence - 1),
        "num_options": ones(1, 1) * 4,
        "question_type_ids": ones(1, 1) * (len(request.config.offsets) - 1),
    }


def _repainted(request: Request, fed: dict[str, Any]) -> dict[str, Any]:
    """One image before the text, as a token per patch, and the grid of the one to be made of it (GLM-Image)."""
    import torch

    config, batch, grid = request.config, request.batch, fed["image_grid_thw"]
    places = torch.full((batch, int(grid[0].prod())), int(config.image_token_id), device="cpu")
    text = integers(min(request.vocabulary, config.text_config.vision_vocab_size), batch, request.sequence)
    ids = torch.cat([places, text], dim=1)
    targets = {"labels": torch.where(ids == int(config.image_token_id), IGNORED, ids)}
    return {
        "input_ids": ids,
        **(targets if "labels" in request.names else {}),
        "position_ids": torch.arange(ids.shape[1], device="cpu").repeat(3, batch, 1),
        "image_grid_thw": grid.repeat_interleave(2, dim=0),
        "images_per_sample": ones(batch) * 2,
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
    "minicpm_ocr_vision": _seen_in_one_row,
    "minicpmv4_7_vision": _seen_in_one_row,
    "pe_audio_video": _filmed_with_sound,
    "pe_audio_video_encoder": _filmed_with_sound,
    "voxtral_realtime": _as_it_is_spoken,
    "voxtral_realtime_text": _delayed,
    "muse_glimmer_assistant": _drafted,
    "nemo_speechlm": _transcribed,
    "jev": _decided,
    "glm_image": _repainted,
}
