"""Sound as each architecture wants it: log-mel features or the waveform."""

from __future__ import annotations

from typing import Any

from profiles.models.hf_request import Request, first
from profiles.models.hf_tasks import task_kind
from profiles.models.tensors import floats, ones

# Mel frames of Whisper's thirty seconds, which encoders derived from it insist on.
WHISPER_FRAMES = 3000
# 10 ms at 16 kHz.
SAMPLES_PER_FRAME = 160


def audio_inputs(request: Request) -> dict[str, Any]:
    """Make all inputs that belong to the sound, by what the forward takes."""
    made = _values(request) if _hears_samples(request) else {}
    if made and "input_features" not in request.required:
        return made
    return made | _spectrogram(request)


def _hears_samples(request: Request) -> bool:
    """Whether the waveform is fed: it is the main input, or there is no spectrogram to feed instead."""
    spectrogram = any("features" in name for name in request.names)
    return "input_values" in request.names and (request.main_input == "input_values" or not spectrogram)


def _spectrogram(request: Request) -> dict[str, Any]:
    name = request.main_input if "features" in request.main_input else "input_features"
    features, frames = _features(request)
    if request.config.model_type in _FUSED:
        features = features.unsqueeze(1)
    mask = ones(request.batch, frames)
    made = {name: features, "input_features_mask": mask.bool() if "gemma" in request.config.model_type else mask}
    made |= {"feature_attention_mask": ones(request.batch, frames)}
    made |= {"chunk_sample_lengths": ones(request.batch) * frames * SAMPLES_PER_FRAME}
    made |= {"audio_mel": features, "audio_mel_mask": ones(request.batch, frames).bool()}
    return {key: value for key, value in made.items() if key in request.names}


# Model types that take several crops of the spectrogram, here one.
_FUSED = ("clap", "clap_audio_model")


def _mels(request: Request) -> int:
    names = (
        "input_feat_size", "feature_projection_input_dim", "num_mel_bins", "n_mels", "num_mels",
        "input_feat_per_channel", "feature_size", "input_dim",
    )  # fmt: skip
    inner = getattr(request.audio, "asr_config", None)
    for part in (request.audio, inner, request.config):
        for name in names:
            if isinstance(getattr(part, name, None), int):
                return int(getattr(part, name)) * first(_stacked(part), 1)
    return 128 if "gemma4" in getattr(request.audio, "model_type", "") else 80


def _stacked(part: Any) -> Any:
    """How many frames are put side by side before the encoder sees them."""
    if getattr(part, "model_type", "") in ("granite_speech5_encoder", "granite_speech5_ctc"):
        return 4
    return getattr(part, "num_stacked_frames", None)


def _features(request: Request) -> tuple[Any, int]:
    """Log-mel features and their frames: [batch, mels, frames] of fixed length (Whisper) or [batch, frames, mels]."""
    positions = getattr(request.audio, "max_source_positions", None)
    mels = _mels(request)
    if _convolves(request):
        frames = 2 * int(positions) if positions else WHISPER_FRAMES
        return floats(request.batch, mels, frames), frames
    frames = request.sequence // SAMPLES_PER_FRAME if heard_length(request) else WHISPER_FRAMES
    model_type = request.config.model_type
    frames = min(frames, _LONGEST.get(model_type, frames)) // _SIDE_BY_SIDE.get(model_type, 1)
    return floats(request.batch, max(1, frames), mels), max(1, frames)


def heard_length(request: Request) -> bool:
    """Whether sequence_length counts samples of sound; else it counts text, and the sound lasts thirty seconds."""
    return request.reads == "audio" and task_kind(request.task).labels != "targets"


def _convolves(request: Request) -> bool:
    """Tell encoders derived from Whisper, whose features have mels before frames."""
    return getattr(request.audio, "model_type", "") in _WHISPER_LIKE


_WHISPER_LIKE = (
    "whisper", "qwen2_audio_encoder", "audioflamingo3_encoder", "voxtral_encoder", "glmasr_encoder",
    "qwen2_5_omni_audio_encoder", "qwen3_omni_moe_audio_encoder", "qwen3_asr_encoder", "voxtral_realtime_encoder",
    "moss_transcribe_diarize_audio", "dots3_note_audio_encoder", "clvp_encoder", "clvp",
)  # fmt: skip


def _values(request: Request) -> dict[str, Any]:
    """The waveform [batch, samples], a spectrogram [batch, frames, mels], or [batch, 1, samples] for codecs."""
    config = request.config
    if config.model_type == "audio-spectrogram-transformer":
        return {"input_values": floats(request.batch, first(config.max_length, 1024), first(config.num_mel_bins, 128))}
    samples = request.sequence if heard_length(request) else WHISPER_FRAMES * SAMPLES_PER_FRAME
    if request.task == "AUDIO_TOKENIZATION" or config.model_type in _CODECS:
        return {"input_values": floats(request.batch, 1, samples)}
    return {"input_values": floats(request.batch, samples)}


# Frames of the spectrogram that a model takes at most.
_LONGEST = {"clap": 1000, "clap_audio_model": 1000, "fun_asr_nano_encoder": 2000, "fun_asr_nano": 2000}
# Frames that the processor puts side by side, where the configuration does not say.
_SIDE_BY_SIDE = {"neucodec": 2, "xcodec2": 2}
_CODECS = (
    "pe_audio", "pe_audio_encoder", "pe_audio_video", "pe_audio_video_encoder", "encodec", "dac", "mimi", "xcodec",
    "xcodec2", "neucodec", "vibevoice_acoustic_tokenizer", "higgs_audio_v2_tokenizer",
)  # fmt: skip
