"""Models that see and hear: example inputs of every kind run, and features find their places in the text."""

import pytest
import torch

from profiles.definitions import profile_definition
from profiles.models import resolve
from profiles.request import ProfileRequest

TEXT = "text_config.num_hidden_layers=1,text_config.hidden_size=64,text_config.intermediate_size=128"
SMALL_TEXT = f"{TEXT},text_config.num_attention_heads=4,text_config.num_key_value_heads=4,text_config.vocab_size=1000"
EYE = "vision_config.num_hidden_layers=2,vision_config.hidden_size=64,vision_config.intermediate_size=128"
SMALL_EYE = f"{EYE},vision_config.num_attention_heads=4,vision_config.image_size=56,vision_config.patch_size=14"
LAYER = "hidden_size=64,num_hidden_layers=1,num_attention_heads=4,intermediate_size=128"

SPECS = {
    "vision transformer": f"hf:vit,{LAYER}",
    "segmenter": "hf:segformer,num_encoder_blocks=4,depths=[1,1,1,1],hidden_sizes=[8,16,24,32]#ForSemanticSegmentation",
    "detector": f"hf:yolos,{LAYER},image_size=[64,64]",
    "video": f"hf:vivit,{LAYER},num_frames=4",
    "contrastive": f"hf:clip,{TEXT},text_config.num_attention_heads=4,{SMALL_EYE},projection_dim=32",
    "waveform": f"hf:wav2vec2,{LAYER},vocab_size=32#ForCTC",
    "spectrogram": f"hf:audio-spectrogram-transformer,{LAYER}",
    "speech to text": "hf:whisper,d_model=64,encoder_layers=1,decoder_layers=1,encoder_attention_heads=4,"
    "decoder_attention_heads=4,encoder_ffn_dim=128,decoder_ffn_dim=128,vocab_size=1000,pad_token_id=0,"
    "decoder_start_token_id=1",
    "documents": f"hf:layoutlm,{LAYER},vocab_size=1000",
    "image and text": f"hf:llava,{SMALL_TEXT},{SMALL_EYE},image_token_index=7,vision_feature_layer=-1",
}


@pytest.mark.parametrize("name", SPECS)
def test_a_training_step_is_traced(name):
    definition = resolve(SPECS[name])
    length = None if definition.sequence_length is None else min(definition.sequence_length, 32)
    length = 16_000 if definition.sequence_length == 160_000 else length
    profile = profile_definition(definition, ProfileRequest(batch_size=2, sequence_length=length))
    assert profile.rung in ("meta", "cpu"), profile.rung_reason
    assert profile.matmul_flops.backward > profile.matmul_flops.forward > 0


def test_an_images_features_come_on_top_of_the_text():
    _, kwargs = resolve(SPECS["image and text"]).inputs(2, 10, None)
    # 56 / 14 = 4 patches a side, 16 features
    assert kwargs["input_ids"].shape == (2, 26) == kwargs["labels"].shape
    assert (kwargs["input_ids"] == 7).sum(dim=1).tolist() == [16, 16]
    assert (kwargs["labels"] == -100).sum(dim=1).tolist() == [16, 16]


def test_a_grid_of_patches():
    spec = (
        f"hf:qwen2_vl,{SMALL_TEXT},vision_config.depth=1,vision_config.embed_dim=32,vision_config.num_heads=2,"
        "vision_config.hidden_size=64,vision_config.patch_size=14,image_token_id=7"
    )
    with torch.device("meta"):
        _, kwargs = resolve(spec).inputs(2, 10, 112)
    # 112 / 14 = 8 patches a side, in blocks of two by two: 16 places; 3 channels x 2 frames x 14 x 14 a patch
    assert kwargs["pixel_values"].shape == (2 * 64, 3 * 2 * 14 * 14)
    assert kwargs["image_grid_thw"].tolist() == [[1, 8, 8], [1, 8, 8]]
    assert kwargs["input_ids"].shape == (2, 26)


def test_sound_is_counted_in_samples():
    _, kwargs = resolve(SPECS["waveform"]).inputs(3, 8000, None)
    assert kwargs["input_values"].shape == (3, 8000) and "labels" not in kwargs
    _, kwargs = resolve(f"hf:wav2vec2-bert,{LAYER},vocab_size=32#ForCTC").inputs(3, 8000, None)
    assert kwargs["input_features"].shape == (3, 50, 160)


def test_an_image_keeps_the_shape_of_its_configuration():
    _, kwargs = resolve("hf:yolos,image_size=[64,96]").inputs(1, None, None)
    assert kwargs["pixel_values"].shape == (1, 3, 64, 96)
    _, kwargs = resolve("hf:yolos,image_size=[64,96]").inputs(1, None, 32)
    assert kwargs["pixel_values"].shape == (1, 3, 32, 32)
