"""What the default configuration of a model type lacks to be a model: parts that fit together, names, sizes.

A default configuration of transformers is often not one that can be built: an index of an image token is missing, the
size of a vision part does not fit the text part, a list has another length than the number of layers. Each entry holds
the options that mend it, in the words of the configuration class; values are those of a published model of the type
where one is known, else the smallest that fit.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

_IMAGE_364 = {"vision_config": {"image_size": 364, "patch_size": 14}}
_IMAGE_448 = {"vision_config": {"image_size": 448, "patch_size": 14}}
_IMAGE_896 = {"vision_config": {"image_size": 896, "patch_size": 14}}

_EDGE = {
    "model_type": "timm_wrapper", "architecture": "repvit_m1", "num_classes": 2,
    "model_args": {"in_chans": 3, "features_only": True, "out_indices": [0, 1, 2, 3]},
}  # fmt: skip
# Kernels, strides and paddings of the intra-class blocks, as in the published configuration of PP-OCRv5's detector.
_INTRACLASS = {
    "reduce_channel": [1, 1, 0],
    "return_channel": [1, 1, 0],
    **{
        f"{name}_{size}ratio": [[k if tall else 1, k if wide else 1], [1, 1], [k // 2 * tall, k // 2 * wide]]
        for name, tall, wide in (
            ("vertical_long_to_small_conv", 1, 0),
            ("horizontal_small_to_long_conv", 0, 1),
            ("symmetric_conv_long", 1, 1),
        )
        for size, k in (("long", 7), ("mid", 5), ("short", 3))
    },
}
_PP_OCR = {"intraclass_block_config": _INTRACLASS, "scale_factor_list": [1, 2, 4, 8], "kernel_list": [3, 2, 2]}
_LCNET = {
    "model_type": "pp_lcnet_v4", "out_features": ["stage1", "stage2", "stage3", "stage4"],
    "block_configs": [  # one block a stage, halving both sides (the default is a recogniser's: it halves the height)
        [[3, 96, 96, 1, True]], [[3, 96, 96, 2, False]], [[3, 96, 192, 2, False]], [[3, 192, 384, 2, False]],
    ],
}  # fmt: skip
_ASSISTANT = {"hidden_size_per_layer_input": 0, "vocab_size_per_layer_input": 0}
_XDROPE = {"rope_parameters": {"rope_type": "default", "rope_theta": 10000.0, "mrope_section": [16, 16, 16, 16]}}

_ROPE = {"rope_type": "default", "rope_theta": 10000.0}
_HALF_ROPE = {**_ROPE, "partial_rotary_factor": 0.5}

MENDED: dict[str, dict[str, Any]] = {
    "autoformer": {"prediction_length": 24},
    "informer": {"prediction_length": 24},
    "time_series_transformer": {"prediction_length": 24},
    "esm": {"vocab_size": 33, "pad_token_id": 1, "mask_token_id": 32},
    "dots1": {
        "n_routed_experts": 16, "n_shared_experts": 2, "n_group": 1, "topk_group": 1, "num_experts_per_tok": 4,
    },
    "hunyuan_v1_dense": {"head_dim": 128},
    "hunyuan_v1_moe": {"head_dim": 128},
    "ministral": {"head_dim": 128},
    "deepseek_v2": {"num_experts_per_tok": 6, "n_routed_experts": 64, "topk_method": "greedy"},
    "xmod": {"default_language": "en_XX"},
    "wav2vec2-bert": {"vocab_size": 32},
    "wav2vec2-conformer": {"vocab_size": 32},
    "blip-2": {"image_token_index": 5},
    "instructblip": {"image_token_index": 5},
    "instructblipvideo": {"video_token_index": 5},
    "gemma3": _IMAGE_896,
    "shieldgemma2": _IMAGE_896,
    "idefics3": _IMAGE_364,
    "smolvlm": _IMAGE_364,
    "modernvbert": _IMAGE_448,
    "ultravbert": _IMAGE_448,
    "colmodernvbert": {"vlm_config": _IMAGE_448},
    "llama4": {"vision_config": {"vision_output_dim": 4096, "hidden_size": 1408}},
    "janus": {"vision_config": {"projection_dim": 4096}},
    "ovis2": {"hidden_size": 4096},
    "aria": {"vision_config": {"image_size": 490, "patch_size": 14}},
    "granite4_vision": {
        "downsample_rate": "4/8", "deepstack_layer_map": [[-1, 0]],
        "vision_config": {"image_size": 384, "patch_size": 16},
        "image_grid_pinpoints": [[384, 768], [768, 384], [768, 768]],
    },
    "nemotron": {"head_dim": 128, "num_key_value_heads": 8},
    "lfm2_moe": {"num_hidden_layers": 4, "layer_types": ["conv", "full_attention", "conv", "full_attention"]},
    "hunyuan_vl_text": {"head_dim": 128, **_XDROPE},
    "hunyuan_vl": {"text_config": {"head_dim": 128, **_XDROPE}},
    "vitmatte": {
        "fusion_hidden_sizes": [256, 128, 64, 32], "convstream_hidden_sizes": [48, 96, 192],
        "backbone_config": {
            "model_type": "vitdet", "num_channels": 4, "hidden_size": 384, "num_attention_heads": 6,
            "num_hidden_layers": 2, "out_features": ["stage2"], "image_size": 512, "pretrain_image_size": 512,
        },
    },
    "edgetam": {"vision_config": {"backbone_config": _EDGE}},
    "edgetam_vision_model": {"backbone_config": _EDGE},
    "uvdoc": {
        "backbone_config": {"model_type": "uvdoc_backbone", "out_features": [f"stage{n}" for n in range(1, 7)]},
    },
    "deepseek_ocr2": {
        "text_config": {
            "num_hidden_layers": 2, "mlp_layer_types": ["dense", "sparse"], "num_experts_per_tok": 6,
            "n_routed_experts": 64, "topk_method": "greedy",
        },
        "vision_config": {
            "encoder_config": {
                "hidden_size": 896, "intermediate_size": 4864, "num_attention_heads": 14, "num_key_value_heads": 2,
            },
        },
    },
    "molmo2": {"adapter_config": {"vision_feature_layer": [1, 0], "text_hidden_size": 4096}},
    "pp_doclayout_v2": {"class_thresholds": [0.5] * 25, "class_order": list(range(25)), "num_labels": 25},
    "nemotron_h_omni": {"image_token_id": 5},
    "lw_detr": {"projector_scale_factors": [1.0]},
    "pp_ocrv5_server_det": _PP_OCR,
    "pp_ocrv6_medium_det": {**_PP_OCR, "backbone_config": _LCNET},
    "pp_ocrv6_small_det": {"layer_list_out_channels": [96, 96, 192, 384], "backbone_config": _LCNET},
    "qwen3_omni_moe_thinker": {"text_config": {"head_dim": 128}},
    "perception_lm": {
        "vision_config": {
            "model_type": "timm_wrapper", "num_classes": 2, "architecture": "vit_pe_lang_large_patch14_448",
            "model_args": {"embed_dim": 1024, "img_size": [448, 448], "global_pool": ""},
        },
        "projector_pooling_ratio": 2,
    },
    "chameleon": {"vocabulary_map": {"<image>": 5, "IMGIMGIBJBZ": 6}, "image_token_id": 5},
    "emu3": {"vocabulary_map": {"<image>": 5, "<|extra_200|>": 7, "<|visual token 032767|>": 8}, "image_token_id": 5},
    "diffusion_gemma": {"text_config": {"num_experts": 8, "top_k_experts": 2, "moe_intermediate_size": 704}},
    "cohere_compass_text": {"rope_parameters": {"full_attention": _ROPE, "sliding_attention": _ROPE}},
    "cohere_compass": {
        "text_config": {"rope_parameters": {"full_attention": _ROPE, "sliding_attention": _ROPE}},
    },
    "dbrx": {"attn_config": {"rope_theta": 10000.0, "kv_n_heads": 8, "clip_qkv": 8}},
    "glm4v_text": {"rope_parameters": _HALF_ROPE},
    "glm_image_text": {"rope_parameters": _HALF_ROPE},
    "glm4v_moe_text": {"head_dim": 128, "rope_parameters": _HALF_ROPE},
    **{key: {"text_config": {"rope_parameters": _HALF_ROPE}} for key in ("glm4v", "glm46v", "glmga", "glm_image")},
    "glm_ocr": {"text_config": {"head_dim": 128, "rope_parameters": {**_ROPE, "mrope_section": [16, 24, 24]}}},
    "glm4v_moe": {"text_config": {"head_dim": 128, "rope_parameters": _HALF_ROPE}},
    "moonshine_streaming": {"num_key_value_heads": 8},
    "t5gemma2_encoder": {"text_config": {"dropout_rate": 0.0}, **_IMAGE_896},
    "gemma4_assistant": {"text_config": _ASSISTANT},
    "gemma4": {"vision_config": {}},
    "gemma4_unified": {"vision_config": {}},
    "timm_backbone": {"backbone": "resnet18"},
    "timm_wrapper": {"architecture": "resnet18"},
    "step3p7": {"text_config": {"sliding_window": 512}},
    "qwen4_exp": {
        "text_config": {
            "indexer_n_heads": 4, "indexer_kv_heads": 1, "indexer_head_dim": 256, "indexer_budget": 64,
            "indexer_compress_ratio": 4,
        }
    },
    "sapiens2": {
        "head_config": {
            "upsample_out_channels": [256, 128], "upsample_kernel_sizes": [4, 4], "conv_out_channels": [128],
            "conv_kernel_sizes": [1],
        }
    },
}  # fmt: skip
# The vision part writes vectors of the width of the text part.
WIDTH_OF_TEXT = (
    "qwen2_vl", "qwen2_5_vl", "qwen3_vl", "qwen3_vl_moe", "qwen3_5", "qwen3_5_moe", "qwen4_exp", "exaone4_5",
    "glm5_next", "glm_ocr", "cosmos3_omni", "cosmos3_edge", "cohere_compass",
    "qwen3_omni_moe_thinker",
)  # fmt: skip


def is_mended(model_type: str) -> bool:
    """Tell whether the default configuration of a model type is changed here."""
    return model_type in MENDED or model_type in WIDTH_OF_TEXT


def note(model_type: str, options: Mapping[str, Any]) -> tuple[str, ...]:
    """Return what a reader should know of the defaults of a model type, where not all of it was given."""
    changed = dict.fromkeys((*MENDED.get(model_type, {}), *(["vision_config"] if model_type in WIDTH_OF_TEXT else [])))
    names = [name for name in changed if name not in options]
    if not names:
        return ()
    return (f"transformers' default configuration of {model_type} makes no model; mended: {', '.join(names)}",)


def mend(model_type: str, options: Mapping[str, Any], make: Callable[..., Any]) -> dict[str, Any]:
    """Return the options given with what the default configuration lacks; what was given stays.

    `make` is the configuration class.
    """
    found = _under(MENDED.get(model_type, {}), options)
    if model_type not in WIDTH_OF_TEXT:
        return found
    config = make(**found)
    width, vision = config.get_text_config().hidden_size, config.vision_config.to_dict()
    widths = {key: width for key in ("out_hidden_size", "projection_size") if key in vision}
    if model_type == "qwen2_vl":
        widths["hidden_size"] = width
    return {**found, "vision_config": {**vision, **widths, **options.get("vision_config", {})}}


def _under(below: Mapping[str, Any], given: Mapping[str, Any]) -> dict[str, Any]:
    """Lay what was given over what is below it, part by part."""
    merged = {**below, **given}
    both = [key for key in merged if isinstance(below.get(key), dict) and isinstance(given.get(key), dict)]
    return merged | {key: _under(below[key], given[key]) for key in both}
