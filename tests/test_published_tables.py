"""Multiply-adds against the tables that timm and torchvision publish.

`published_timm.csv`: from results/benchmark-infer-amp-nhwc-pt240-cu124-rtx3090.csv of huggingface/pytorch-image-models
at commit 5c33776: a sample of its kinds of networks, images of the size each was published for. fvcore made that table:
it counts normalisation with the products (batch norm two operations an element) and no convolution whose padding is
given as a word. torchvision's figures come with its weights, and are of products alone.
"""

from __future__ import annotations

import csv
import math
from pathlib import Path
from typing import Any

import pytest

from profiles.models import Sizes, resolve, torchvision_shim
from profiles.trace.settings import StepSettings
from profiles.tracers import start_whole

PRODUCTS = ("matmul", "convolution", "attention")
TABLE = list(csv.DictReader((Path(__file__).parent / "published_timm.csv").open()))


def forward(name: str, batch: int = 2) -> list[Any]:
    """Operations of a forward pass."""
    _, climb = start_whole(resolve(name), StepSettings(mode="forward"), Sizes(batch, None, None))
    return climb.trace.operations


def giga(operations: list[Any], batch: int = 2) -> float:
    """Billions of multiply-adds of one sample."""
    return sum(op.flops * op.count for op in operations if op.family in PRODUCTS) / 2 / batch / 1e9


def normalised(operations: list[Any], batch: int = 2) -> float:
    """Billions of elements of one sample that go through batch norm."""
    norms = (op for op in operations if "batch_norm" in op.operator)
    return sum(math.prod(op.outputs[0].shape) * op.count for op in norms) / batch / 1e9


def agrees(found: float, published: str) -> bool:
    """Whether a figure is that of the table: to 2 %, or to its last digit."""
    return abs(found - float(published)) <= max(0.02 * float(published), 0.0051)


def check_timm(row: dict[str, str]) -> None:
    operations = forward(f"timm:{row['model']}", 1)
    found = giga(operations, 1)
    assert agrees(found, row["gmacs"]) or agrees(found + 2 * normalised(operations, 1), row["gmacs"]), (row, found)


@pytest.mark.parametrize("model", ["vit_small_patch16_224", "efficientnet_b0", "ghostnet_050", "levit_128s"])
def test_a_network_of_timm_counts_as_published(model: str) -> None:
    check_timm(next(row for row in TABLE if row["model"] == model))


def test_a_depthwise_convolution_padded_to_the_same_size_counts() -> None:
    """ConvMixer-768/32 by hand; the table lacks the 1.23 billion of its 32 depthwise convolutions of 7 x 7."""
    places, width, depth = 32 * 32, 768, 32
    by_hand = places * width * (3 * 7**2 + depth * (7**2 + width)) + width * 1000
    assert giga(forward("timm:convmixer_768_32")) == pytest.approx(by_hand / 1e9, rel=1e-9)


# Weights for images of another size than the network's are called otherwise than those of the rest.
WEIGHTS = {"vit_h_14": "IMAGENET1K_SWAG_LINEAR_V1"}
IMAGE_MODELS = (
    "resnet50",
    "efficientnet_b0",
    "vit_h_14",
    "maxvit_t",
    "mvit_v2_s",
    "ssd300_vgg16",
    "fasterrcnn_resnet50_fpn",
)


@pytest.mark.parametrize("model", IMAGE_MODELS)
def test_a_network_of_torchvision_counts_as_published(model: str) -> None:
    assert giga(forward(f"torchvision:{model}", 1), 1) == pytest.approx(published(model), abs=0.00051)


def published(model: str) -> float:
    """Billions of operations as torchvision documents them with the weights of a model, one a multiply-add."""
    torchvision_shim.prepare()
    import torchvision

    weights = torchvision.models.get_model_weights(model)
    return float(weights[WEIGHTS.get(model, weights.DEFAULT.name)].meta["_ops"])


@pytest.mark.slow
@pytest.mark.parametrize("row", TABLE, ids=[row["model"] for row in TABLE])
def test_all_that_timm_publishes(row: dict[str, str]) -> None:
    if row["model"] not in ("convmixer_768_32", "nf_resnet26", "nf_regnet_b0"):  # it probably counts standardising too
        check_timm(row)


# Weights of segmentation models have a second head. How many objects a detector finds in an image decides how much is
# done about each: all are kept here. RAFT was measured on 520 x 960 pixels.
_OTHERWISE = {
    *("fcn_resnet50", "fcn_resnet101", "deeplabv3_resnet50", "deeplabv3_resnet101", "deeplabv3_mobilenet_v3_large"),
    *("fasterrcnn_mobilenet_v3_large_fpn", "fasterrcnn_mobilenet_v3_large_320_fpn", "maskrcnn_resnet50_fpn"),
    *("keypointrcnn_resnet50_fpn", "raft_small", "raft_large"),
}


@pytest.mark.slow
def test_all_that_torchvision_publishes() -> None:
    torchvision_shim.prepare()
    import torchvision

    names = [name for name in torchvision.models.list_models() if not name.startswith("quantized_")]
    found = {name: giga(forward(f"torchvision:{name}", 1), 1) for name in names if name not in _OTHERWISE}
    assert len(found) > 90
    assert found == {name: pytest.approx(published(name), abs=0.00051) for name in found}
