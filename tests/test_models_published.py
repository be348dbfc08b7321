"""Networks and adapters against what their papers and reference code publish, or against a count by hand."""

from __future__ import annotations

import pytest
import torch

from hardware_db.errors import UsageError
from profiles.definitions import ProfileRequest, profile_definition
from profiles.models import resolve


def multiply_adds(name: str, batch: int = 2, length: int | None = None) -> float:
    """Multiply-adds of matrix products of one sample, forward."""
    request = ProfileRequest(mode="forward", batch_size=batch, sequence_length=length)
    return profile_definition(resolve(name), request).matmul_flops.forward / 2 / batch


def test_yolov3_takes_the_operations_darknet_prints():
    """Darknet prints 65.864 billion for yolov3.cfg at 416 x 416, two a multiply-add, of all its convolutions."""
    assert 2 * multiply_adds("yolov3") / 1e9 == pytest.approx(65.864, abs=0.01)


def test_yolov3_predicts_10_647_boxes_with_85_numbers_each():
    definition = resolve("yolov3")
    with torch.device("meta"):
        found = definition.build()(*definition.inputs(2, None, 416)[0])
    assert found.shape == (2, 3 * (52**2 + 26**2 + 13**2), 85) == (2, 10_647, 85)


def test_ssd300_takes_what_torchvision_documents():
    """34.858 billion multiply-adds for 8,732 default boxes and 91 classes."""
    definition = resolve("ssd300")
    with torch.device("meta"):
        scores, places = definition.build()(*definition.inputs(2, None, 300)[0])
    assert scores.shape == (2, 8732, 91) and places.shape == (2, 8732, 4)
    assert multiply_adds("ssd300") / 1e9 == pytest.approx(34.858, abs=0.01)


def test_unet3d_puts_out_the_volume_of_the_paper():
    definition = resolve("unet3d")
    with torch.device("meta"):
        scores = definition.build()(*definition.inputs(1, None, 132)[0])
    assert scores.shape == (1, 3, 28, 44, 44)


def unet3d_by_hand() -> int:
    """Two convolutions a level down, three products a level up, each voxel of the result 27 or 8 times channels."""
    sides, total, channels = [116, 132, 132], 0, 3

    def convolve(outputs: int) -> int:
        nonlocal sides, channels
        sides = [side - 2 for side in sides]
        work = sides[0] * sides[1] * sides[2] * 27 * channels * outputs
        channels = outputs
        return work

    for level, width in enumerate((64, 128, 256, 512)):
        sides = sides if level == 0 else [side // 2 for side in sides]
        total += convolve(width // 2) + convolve(width)
    for width in (256, 128, 64):
        total += sides[0] * sides[1] * sides[2] * 8 * channels * channels  # every voxel is written to eight places
        sides, channels = [2 * side for side in sides], channels + width
        total += convolve(width) + convolve(width)
    return total + sides[0] * sides[1] * sides[2] * 64 * 3


def test_unet3d_counts_every_voxel():
    assert multiply_adds("unet3d") == unet3d_by_hand()


def lstm(inputs: int, hidden: int) -> int:
    """Multiply-adds of one step: four gates over the input and the state."""
    return 4 * (inputs + hidden) * hidden


def test_gnmt_counts_both_sides_and_the_attention():
    hidden, length = 1024, 20
    encoder = 2 * lstm(hidden, hidden) + lstm(2 * hidden, hidden) + 2 * lstm(hidden, hidden)
    decoder = lstm(hidden, hidden) + 3 * lstm(2 * hidden, hidden) + hidden * 32_320
    attention = 2 * hidden**2 + 2 * length * hidden  # queries and keys; scores and mixture over all of the source
    assert multiply_adds("gnmt", length=length) == length * (encoder + decoder + attention)


def test_rnn_t_judges_every_pair_of_a_frame_and_a_piece():
    pieces = 10
    frames = 8 * pieces
    heard = frames * (lstm(240, 1024) + lstm(1024, 1024))
    heard += frames // 2 * (lstm(2048, 1024) + 2 * lstm(1024, 1024) + 1024 * 512)
    read = (pieces + 1) * (2 * lstm(512, 512) + 512 * 512)
    judged = frames // 2 * (pieces + 1) * 512 * 1024
    assert multiply_adds("rnn-t", length=pieces) == heard + read + judged


def transformer_block(pixels: int, width: int, context: int, words: int = 77) -> int:
    """Self-attention, cross-attention to the words, and the gated MLP."""
    projections = pixels * (4 * width**2 + 2 * width**2) + 2 * words * context * width
    return projections + 2 * pixels * (pixels + words) * width + pixels * 12 * width**2


def residual_block(pixels: int, inputs: int, outputs: int, time: int = 1280) -> int:
    """Two convolutions, the time, and the shortcut where the width changes."""
    shortcut = pixels * inputs * outputs if inputs != outputs else 0
    return pixels * 9 * (inputs + outputs) * outputs + time * outputs + shortcut


def denoiser_by_hand(side: int, factors: tuple[int, ...], blocks: tuple[int, ...], middle: int, context: int) -> int:
    """A UNet of 320 channels times `factors`, on latents of side x side."""
    widths, channels, kept = [320 * factor for factor in factors], 320, [320]
    total = 320 * 1280 + 1280 * 1280 + 9 * side**2 * 4 * 320 * 2

    def level(inputs: int, width: int, depth: int, pixels: int) -> int:
        attends = 2 * pixels * width**2 + depth * transformer_block(pixels, width, context) if depth else 0
        return residual_block(pixels, inputs, width) + attends

    sides = [side // 2**index for index in range(len(factors))]
    for index, (width, depth) in enumerate(zip(widths, blocks, strict=True)):
        for _ in range(2):
            total += level(channels, width, depth, sides[index] ** 2)
            channels = width
            kept.append(channels)
        if index < len(widths) - 1:
            total += sides[index + 1] ** 2 * 9 * channels**2
            kept.append(channels)
    total += level(channels, channels, middle, sides[-1] ** 2) + residual_block(sides[-1] ** 2, channels, channels)
    for index in reversed(range(len(widths))):
        for block in range(3):
            total += level(channels + kept.pop(), widths[index], blocks[index], sides[index] ** 2)
            channels = widths[index]
            if block == 2 and index > 0:
                total += sides[index - 1] ** 2 * 9 * channels**2
    return total


def test_stable_diffusion_counts_every_block():
    assert multiply_adds("stable-diffusion-unet") == denoiser_by_hand(64, (1, 2, 4, 4), (1, 1, 1, 0), 1, 768)


def test_sdxl_counts_every_block_and_what_is_added_to_the_time():
    added = 2816 * 1280 + 1280 * 1280
    assert multiply_adds("sdxl-unet") == added + denoiser_by_hand(128, (1, 2, 4), (0, 2, 10), 10, 2048)


@pytest.mark.parametrize(
    ("model", "trained", "everything"),
    [
        # Hugging Face PEFT's documentation prints these three for rank 8
        ("llama-2-7b,lora=8", 4_194_304, 6_742_609_920),
        ("gpt2,lora=8", 294_912, 124_734_720),
        # Hu et al. 2021, arXiv 2106.09685, table 2: 0.3 M and 0.8 M beside 125 M and 355 M
        ("roberta-base,lora=8", 294_912, 124_697_433 + 294_912),
        ("roberta-large,lora=8", 786_432, 355_412_057 + 786_432),
    ],
)
def test_adapters_have_the_published_parameters(model, trained, everything):
    with torch.device("meta"):
        parameters = list(resolve(model).build().parameters())
    assert sum(p.numel() for p in parameters if p.requires_grad) == trained
    assert sum(p.numel() for p in parameters) == everything


def test_adapters_train_without_gradients_of_the_weights():
    """Backward: inputs of all that lies behind an adapter, weights of the adapters alone."""
    hidden, inner, words, rank, tokens = 64, 128, 100, 4, 32
    spec = (
        f"hf:llama,num_hidden_layers=2,hidden_size={hidden},num_attention_heads=4,num_key_value_heads=4,"
        f"intermediate_size={inner},vocab_size={words},lora={rank}#ForCausalLM"
    )
    flops = profile_definition(resolve(spec), ProfileRequest(batch_size=3, sequence_length=tokens)).matmul_flops
    attention, block = 2 * tokens * hidden, 4 * hidden**2 + 3 * hidden * inner
    forward = 2 * (block + attention + 2 * 2 * hidden * rank) + hidden * words
    assert flops.forward == 2 * 3 * tokens * forward
    second = block + 5 * attention // 2 + 2 * 4 * hidden * rank
    first = hidden**2 + 3 * hidden * inner + 5 * attention // 2 + 2 * 3 * hidden * rank
    assert flops.backward == 2 * 3 * tokens * (hidden * words + first + second)


def test_adapters_beside_all_layers_leave_the_head_alone():
    with torch.device("meta"):
        model = resolve("hf:llama,num_hidden_layers=1,lora=2,lora_targets=all").build()
    adapted = {name.split(".")[-3] for name, p in model.named_parameters() if p.requires_grad}
    assert adapted == {"q_proj", "k_proj", "v_proj", "o_proj", "gate_proj", "up_proj", "down_proj"}


@pytest.mark.parametrize(
    ("spec", "said"),
    [
        ("gpt2,lora=0", "lora=0 is no rank"),
        ("gpt2,lora=much", "lora='much' is no rank"),
        ("gpt2,lora_targets=all", "lora_targets needs lora=RANK"),
        ("resnet50,lora=8", "resnet50 takes no options"),
    ],
)
def test_adapters_that_make_no_sense_are_refused(spec, said):
    with pytest.raises(UsageError, match=said):
        resolve(spec)


def test_targets_that_are_not_there_are_named():
    with pytest.raises(UsageError, match=r"no linear layer for q_porj to adapt.\n.*q_proj"), torch.device("meta"):
        resolve("hf:llama,num_hidden_layers=1,lora=2,lora_targets=q_porj").build()


def test_names_that_transformers_builds_take_options():
    definition = resolve("gpt2,n_layer=6")
    assert definition.name == "gpt2,n_layer=6" and definition.source.endswith("changed: n_layer=6")
    with torch.device("meta"):
        parameters = sum(p.numel() for p in definition.build().parameters())
    assert parameters == 81_912_576  # distilgpt2 is GPT-2 with half of the layers
