"""Images as each architecture wants them: pixels, packed patches with a grid, tiles, frames.

Every sample has one image (or one clip), square, of the side asked for or the configuration's own.
"""

from __future__ import annotations

import sys
from collections.abc import Callable
from typing import Any

from profiles.models.hf_request import Request, first
from profiles.models.tensors import floats, ones

# Patches that models of packed patches take at most when their configuration does not say.
PACKED_PATCHES = 256
# Patches of one image for models that take any number of large ones.
SPACETIME_PATCHES = 16
MERGED_SIDE = 8
# Patches along one side of Gemma 4's image: 3 x 3 of them become one of its 256 features.
PLACED_SIDE = 48


def image_inputs(request: Request) -> dict[str, Any]:
    """Make all inputs that belong to the image, by the model type or by what the forward takes."""
    own = _OWN_FORMS.get(request.config.model_type)
    if own is not None:
        return own(request)
    for name, maker in _FORMS.items():
        if name in request.names:
            return {key: value for key, value in maker(request).items() if key in request.names}
    return _plain(request)


def _plain(request: Request) -> dict[str, Any]:
    """[batch, channels, side, side], with a dimension of frames for video and of crops where the model has them."""
    shape = [request.batch]
    filmed = "pixel_values_videos" in (request.main_input, *request.required)
    if request.task == "VIDEO_CLASSIFICATION" or filmed or request.config.model_type in _FILMED:
        shape.append(int(request.value("num_frames", "frames_per_clip", default=16)))
    elif request.config.model_type in _PAIRS:
        shape.append(2)
    elif (crops := _crops(request)) is not None:
        shape.append(crops)
    pixels = floats(*shape, request.channels, *request.image_shape)
    name = "pixel_values_videos" if "pixel_values_videos" in request.required else "pixel_values"
    made = {request.main_input if request.main_input.startswith("pixel") else name: pixels}
    if request.config.model_type in _SIZED or getattr(request.vision, "model_type", "") == "pixtral":
        made["image_sizes"] = ones(request.batch, 2) * request.image_side
    return made


def _crops(request: Request) -> int | None:
    """Tiles an image is cut into, counted by the architecture's own rule; None where it is not cut."""
    rule = getattr(sys.modules[request.kind.__module__], "image_size_to_num_patches", None)
    if rule is None:
        return None
    pair = (request.image_side, request.image_side)
    return int(rule(pair, request.config.image_grid_pinpoints, request.vision.image_size))


# Model types that take a film though their task does not say so.
_FILMED = ("xclip", "x-clip", "tvp", "instructblipvideo", "pe_audio_video")
# Model types that compare two images.
_PAIRS = ("efficientloftr", "lightglue", "superglue")
# Model types that must be told how large each image is.
_SIZED = ("llava_next", "llava_next_video", "llava_onevision", "granite4_vision", "emu3", "phi4_multimodal")


def _grid(request: Request) -> dict[str, Any]:
    """Patches of all images in one row, [patches, values of a patch], and each image's grid of patches."""
    patch, merge = request.patch, first(_first_of(request.vision, "spatial_merge_size", "merge_size"), 2)
    frames = first(_first_of(request.vision, "temporal_patch_size", "patch_temporal"), 1)
    side = max(1, request.image_side // (patch * merge)) * merge
    values = request.channels * frames * patch * patch
    import torch

    grid = torch.tensor([[1, side, side]] * request.batch, device="cpu")
    shape = (request.channels, patch, patch) if request.vision.model_type in _SQUARE_PATCHES else (values,)
    rows = floats(request.batch * side * side, *shape)
    made = {"pixel_values": rows, "image_grid_thw": grid, "hidden_states": rows, "grid_thw": grid}
    made["image_grid_hw"] = grid[:, 1:]
    return made | {"image_merge_sizes": ones(request.batch) * merge, "merge_sizes": ones(request.batch) * merge}


def _first_of(part: Any, *names: str) -> Any:
    return next((getattr(part, name) for name in names if getattr(part, name, None) is not None), None)


# Vision parts that take each patch as a small image, [patches, channels, side, side].
_SQUARE_PATCHES = ("kimi_k25_vision", "paddleocr_vl_vision", "paddleocr_vision_model")


def _packed(request: Request) -> dict[str, Any]:
    """Patches of each image, [batch, patches, values of a patch], with the shape of its grid."""
    patches = first(getattr(request.vision, "num_patches", None), PACKED_PATCHES)
    side = max(1, int(patches**0.5))
    values = request.channels * request.patch**2
    return {
        "pixel_values": floats(request.batch, side * side, values),
        "spatial_shapes": ones(request.batch, 2) * side,
        "pixel_attention_mask": ones(request.batch, side * side),
    }


def _placed(request: Request) -> dict[str, Any]:
    """Patches in a row, [batch, patches, values of a patch], with column and row of each (Gemma 4)."""
    import torch

    row = torch.arange(PLACED_SIDE**2, device="cpu")
    places = torch.stack([row % PLACED_SIDE, row // PLACED_SIDE], dim=-1).repeat(request.batch, 1, 1)
    patch = first(getattr(request.vision, "model_patch_size", None), request.patch)
    patches = floats(request.batch, PLACED_SIDE**2, request.channels * patch**2)
    return {"pixel_values": patches, "pixel_position_ids": places, "image_position_ids": places}


def _several(request: Request) -> dict[str, Any]:
    """[batch, images, channels, side, side]."""
    side = request.image_side
    return {"pixel_values": floats(request.batch, 1, request.channels, side, side)}


def _one_tile(request: Request) -> dict[str, Any]:
    """[batch, tiles, channels, side, side], and which tiles are there: one each (Granite Docling)."""
    return _several(request) | {"pixel_attention_mask": ones(request.batch, 1).bool()}


def _two_resolutions(request: Request) -> dict[str, Any]:
    """The image small and large, each [batch, channels, side, side] (DeepSeek-VL)."""
    large = first(getattr(request.part("high_res_vision_config"), "image_size", None), 1024)
    return _plain(request) | {"high_res_pixel_values": floats(request.batch, request.channels, large, large)}


def _attended(request: Request) -> dict[str, Any]:
    """[batch, images, channels, side, side], and which image each token may look at (IDEFICS)."""
    return _several(request) | {"image_attention_mask": ones(request.batch, request.sequence, 1)}


def _flattened(request: Request) -> dict[str, Any]:
    """Patches with their row and column in front, [batch, patches, 2 + values of a patch] (Pix2Struct)."""
    patches = first(getattr(request.vision, "seq_len", None), 2048)
    import torch

    rows = floats(request.batch, patches, 2 + request.channels * request.patch**2)
    return {"flattened_patches": rows, "attention_mask": torch.ones(request.batch, patches, device="cpu")}


def _tiles(request: Request) -> dict[str, Any]:
    """One image of several tiles, [batch, 1, tiles, channels, side, side] (Llama 3.2 Vision)."""
    tiles, side = first(request.value("max_num_tiles"), 4), request.image_side
    return {
        "pixel_values": floats(request.batch, 1, tiles, request.channels, side, side),
        "aspect_ratio_ids": ones(request.batch, 1),
        "aspect_ratio_mask": ones(request.batch, 1, tiles),
        "cross_attention_mask": ones(request.batch, request.sequence, 1, tiles),
    }


def _detected(request: Request) -> dict[str, Any]:
    """Regions an object detector found before, [batch, regions, features]."""
    features = first(request.value("visual_feat_dim", "visual_embedding_dim"), 2048)
    regions = floats(request.batch, 36, features)
    return {
        "visual_feats": regions,
        "visual_embeds": regions,
        "visual_pos": floats(request.batch, 36, 4),
        "visual_attention_mask": ones(request.batch, 36),
    }


def _spacetime(request: Request) -> dict[str, Any]:
    """Patches of all images, each [frames, side, side, channels] (Inkling)."""
    vision, patches = request.vision, SPACETIME_PATCHES * request.batch
    side = int(vision.patch_size)
    return {"pixel_values": floats(patches, int(vision.temporal_patch_size), side, side, int(vision.num_channels))}


def _merged(request: Request) -> dict[str, Any]:
    """Patches of all images, one a token, [patches, side, side, channels], and each image's grid (Inkling 2)."""
    import torch

    vision = request.vision
    side = int(vision.patch_size) * int(vision.spatial_merge_size)
    grid = torch.tensor([[1, MERGED_SIDE, MERGED_SIDE]] * request.batch, device="cpu")
    pixels = floats(request.batch * MERGED_SIDE**2, side, side, int(vision.num_channels))
    return {"pixel_values": pixels, "image_grid_thw": grid}


def _pooled(request: Request) -> dict[str, Any]:
    """One crop of every image as patches, and which two by two of them become one token (Molmo 2)."""
    import torch

    vision, batch = request.vision, request.batch
    sides = vision.image_size if isinstance(vision.image_size, (list, tuple)) else (vision.image_size,)
    side = int(sides[0]) // request.patch
    tokens = side // 2
    place = torch.arange(side * side, device="cpu").reshape(side, side)[: 2 * tokens, : 2 * tokens]
    square = place.reshape(tokens, 2, tokens, 2).transpose(1, 2).reshape(-1, 4)
    return {
        "pixel_values": floats(batch, side * side, 3 * request.patch**2),
        "image_token_pooling": torch.cat([square + index * side * side for index in range(batch)]),
        "image_grids": torch.tensor([[tokens, tokens, 0, 0]] * batch, device="cpu"),
        "image_num_crops": ones(batch),
    }


_OWN_FORMS: dict[str, Callable[[Request], dict[str, Any]]] = {
    "inkling_mm_model": _spacetime,
    "inkling2": _merged,
    "inkling2_vision": _merged,
    "molmo2": _pooled,
    "perception_lm": _several,
    "granite_docling": _one_tile,
}
_FORMS: dict[str, Callable[[Request], dict[str, Any]]] = {
    "image_grid_thw": _grid,
    "grid_thw": _grid,
    "image_grid_hw": _grid,
    "spatial_shapes": _packed,
    "pixel_position_ids": _placed,
    "image_position_ids": _placed,
    "flattened_patches": _flattened,
    "aspect_ratio_ids": _tiles,
    "high_res_pixel_values": _two_resolutions,
    "image_attention_mask": _attended,
    "pixel_attention_mask": _several,
    "visual_feats": _detected,
    "visual_embeds": _detected,
}
