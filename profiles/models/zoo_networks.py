"""Names of the networks we wrote ourselves: dimensions, published number of parameters, and where both come from."""

from __future__ import annotations

from typing import Any

from profiles.models.zoo_entry import NetworkEntry

_TORCHVISION = "parameters as in torchvision's model documentation"


def _resnet(name: str, blocks: tuple[int, ...], bottleneck: bool, parameters: int) -> NetworkEntry:
    dimensions = {"blocks": blocks, "bottleneck": bottleneck}
    source = f"He et al. 2016, arXiv 1512.03385, table 1; {_TORCHVISION}"
    return NetworkEntry(name, "image classification", "resnet:imagenet", parameters, source, dimensions, image_size=224)


def _vgg(name: str, convolutions: tuple[int, ...], parameters: int) -> NetworkEntry:
    source = f"Simonyan and Zisserman 2015, arXiv 1409.1556, table 1; {_TORCHVISION}"
    dimensions = {"convolutions": convolutions}
    return NetworkEntry(name, "image classification", "vgg:vgg", parameters, source, dimensions, image_size=224)


def _vit(name: str, dimensions: dict[str, int], parameters: int) -> NetworkEntry:
    source = f"Dosovitskiy et al. 2021, arXiv 2010.11929, table 1; {_TORCHVISION}"
    return NetworkEntry(
        name,
        "image classification",
        "vit:vision_transformer",
        parameters,
        source,
        dimensions,
        image_size=224,
        depth_key="layers",
    )


def _picture(name: str, factory: str, parameters: int, source: str, side: int, **dimensions: Any) -> NetworkEntry:
    return NetworkEntry(name, "image classification", factory, parameters, source, dimensions, image_size=side)


def _small(name: str, factory: str, parameters: int, source: str, feeding: tuple[int, int]) -> NetworkEntry:
    channels, side = feeding
    return NetworkEntry(
        name,
        "image classification",
        f"small:{factory}",
        parameters,
        source,
        feeding={"channels": channels, "fixed_image_size": side},
        image_size=side,
    )


# Rows of the 26 tables of the Criteo 1TB click logs, ids taken modulo 40 million (mlcommons/training, dlrm).
_CRITEO_ROWS = (
    39_884_406, 39_043, 17_289, 7_420, 20_263, 3, 7_120, 1_543, 63, 38_532_951, 2_953_546, 403_346, 10, 2_208, 11_938,
    155, 4, 976, 14, 39_979_771, 25_641_295, 39_664_984, 585_935, 12_972, 108, 36,
)  # fmt: skip

NETWORKS: tuple[NetworkEntry, ...] = (
    _resnet("resnet18", (2, 2, 2, 2), False, 11_689_512),
    _resnet("resnet34", (3, 4, 6, 3), False, 21_797_672),
    _resnet("resnet50", (3, 4, 6, 3), True, 25_557_032),
    _resnet("resnet101", (3, 4, 23, 3), True, 44_549_160),
    _resnet("resnet152", (3, 8, 36, 3), True, 60_192_808),
    _vgg("vgg11", (1, 1, 2, 2, 2), 132_863_336),
    _vgg("vgg13", (2, 2, 2, 2, 2), 133_047_848),
    _vgg("vgg16", (2, 2, 3, 3, 3), 138_357_544),
    _vgg("vgg19", (2, 2, 4, 4, 4), 143_667_240),
    _picture("alexnet", "vgg:alexnet", 61_100_840, f"Krizhevsky 2014, arXiv 1404.5997; {_TORCHVISION}", 224),
    _picture(
        "mobilenet-v2",
        "mobilenet:mobilenet_v2",
        3_504_872,
        f"Sandler et al. 2018, arXiv 1801.04381; {_TORCHVISION}",
        224,
    ),
    _picture(
        "efficientnet-b0",
        "mobilenet:efficientnet_b0",
        5_288_548,
        f"Tan and Le 2019, arXiv 1905.11946, table 1; {_TORCHVISION}",
        224,
    ),
    _vit("vit-b-16", {"hidden": 768, "layers": 12, "heads": 12, "patch": 16}, 86_567_656),
    _vit("vit-b-32", {"hidden": 768, "layers": 12, "heads": 12, "patch": 32}, 88_224_232),
    _vit("vit-l-16", {"hidden": 1024, "layers": 24, "heads": 16, "patch": 16}, 304_326_632),
    _vit("vit-h-14", {"hidden": 1280, "layers": 32, "heads": 16, "patch": 14}, 632_045_800),
    _small("mnist-cnn", "mnist_cnn", 1_199_882, "pytorch/examples mnist/main.py", (1, 28)),
    _small("mnist-mlp", "mlp", 1_276_810, "counted by hand: 785x800 + 801x800 + 801x10", (1, 28)),
    _small(
        "lenet5", "lenet5", 61_706, "LeCun et al. 1998, Gradient-based learning, figure 2, full connections", (1, 32)
    ),
    _small("cifar10-cnn", "cifar10_cnn", 62_006, 'PyTorch tutorial "Training a classifier"', (3, 32)),
    _picture(
        "cifar10-resnet20",
        "resnet:cifar",
        269_722,
        "He et al. 2016, arXiv 1512.03385, section 4.2 and table 6 (0.27 M)",
        32,
        blocks_per_stage=3,
    ),
    _picture(
        "cifar10-resnet56",
        "resnet:cifar",
        853_018,
        "He et al. 2016, arXiv 1512.03385, section 4.2 and table 6 (0.85 M)",
        32,
        blocks_per_stage=9,
    ),
    NetworkEntry(
        "imdb-lstm",
        "text classification",
        "recurrent:sentiment_lstm",
        2_692_225,
        "Keras example imdb_lstm (20,000 words, 128 units, 80 words a review), with PyTorch's second LSTM bias",
        {"vocabulary": 20_000, "hidden": 128},
        sequence_length=80,
    ),
    NetworkEntry(
        "lstm-lm",
        "language modelling",
        "recurrent:language_model",
        19_780_400,
        "Zaremba et al. 2014, arXiv 1409.2329, section 4.1, medium; with PyTorch's second LSTM bias",
        {"vocabulary": 10_000, "hidden": 650, "layers": 2, "dropout": 0.5},
        batch_size=20,
        sequence_length=35,
    ),
    NetworkEntry(
        "transformer-base",
        "translation",
        "transformer:transformer",
        63_082_496,
        "Vaswani et al. 2017, arXiv 1706.03762, table 3 (65 M) and section 5.1 (37,000 tokens)",
        {"vocabulary": 37_000, "hidden": 512, "layers": 6, "heads": 8, "mlp": 2048, "dropout": 0.1},
        sequence_length=128,
        depth_key="layers",
    ),
    NetworkEntry(
        "transformer-big",
        "translation",
        "transformer:transformer",
        214_245_376,
        "Vaswani et al. 2017, arXiv 1706.03762, table 3 (213 M) and section 5.1 (37,000 tokens)",
        {"vocabulary": 37_000, "hidden": 1024, "layers": 6, "heads": 16, "mlp": 4096, "dropout": 0.3},
        sequence_length=128,
        depth_key="layers",
    ),
    NetworkEntry(
        "las",
        "speech recognition",
        "listen_attend_spell:listen_attend_spell",
        14_329_387,
        "Chan et al. 2015, arXiv 1508.01211, sections 3 and 4 (26 letters, 10 digits, 5 signs, start and end)",
        {"mels": 40, "characters": 43, "listener_units": 256, "speller_units": 512},
        sequence_length=100,
    ),
    NetworkEntry(
        "gnmt",
        "translation",
        "gnmt:gnmt",
        160_671_297,
        "Wu et al. 2016, arXiv 1609.08144; MLPerf Training v0.7 rnn_translator (160,671,297 parameters, vocabulary "
        "padded to 32,320; at most 50 tokens)",
        {"vocabulary": 32_320, "hidden": 1024, "layers": 4, "dropout": 0.2},
        sequence_length=50,
    ),
    NetworkEntry(
        "rnn-t",
        "speech transduction",
        "transducer:transducer",
        49_006_080,
        "Graves 2012, arXiv 1211.3711; MLPerf Training v1.0 RNN-T, baseline_v3-1023sp.yaml, counted by hand: "
        "42,967,040 + 524,800 + 4,726,272 + 262,656 + 525,312",
        {"mels": 240, "characters": 1023, "heard": 1024, "read": 512, "joined": 512},
        sequence_length=50,
    ),
    NetworkEntry(
        "dcgan",
        "image generation",
        "gan:dcgan",
        6_342_272,
        "Radford et al. 2016, arXiv 1511.06434; pytorch/examples dcgan/main.py (3,576,704 + 2,765,568)",
        batch_size=128,
        step="gan:step",
    ),
    NetworkEntry(
        "unet",
        "image segmentation",
        "unet:unet",
        31_030_658,
        "Ronneberger et al. 2015, arXiv 1505.04597, figure 1 (1 channel, 572 x 572, 2 classes)",
        {"channels": 1, "classes": 2},
        feeding={"channels": 1},
        image_size=572,
    ),
    NetworkEntry(
        "stable-diffusion-unet",
        "denoising",
        "diffusion_unet:diffusion_unet",
        859_520_964,
        "Rombach et al. 2022, arXiv 2112.10752; CompVis/stable-diffusion v1-inference.yaml (latents of 512 x 512)",
        {"width": 320, "factors": (1, 2, 4, 4), "blocks": (1, 1, 1, 0), "context": 768},
        image_size=512,
    ),
    NetworkEntry(
        "sdxl-unet",
        "denoising",
        "diffusion_unet:diffusion_unet",
        2_567_463_684,
        "Podell et al. 2023, arXiv 2307.01952, table 1 (2.6 B); config.json and weights of "
        "stabilityai/stable-diffusion-xl-base-1.0, unet (latents of 1024 x 1024)",
        {
            "width": 320,
            "factors": (1, 2, 4),
            "blocks": (0, 2, 10),
            "context": 2048,
            "middle": 10,
            "head_width": 64,
            "pooled": 2816,
        },
        image_size=1024,
    ),
    NetworkEntry(
        "unet3d",
        "volume segmentation",
        "unet3d:unet3d",
        19_069_955,
        "Cicek et al. 2016, arXiv 1606.06650, section 2 (19,069,955 parameters; 132 x 132 x 116 voxels)",
        {"channels": 3, "classes": 3},
        feeding={"slices": 116, "fixed_image_size": 132},
        image_size=132,
    ),
    NetworkEntry(
        "yolov3",
        "object detection in a grid",
        "yolo:yolov3",
        61_949_149,
        "Redmon and Farhadi 2018, arXiv 1804.02767; yolov3.cfg of pjreddie/darknet (yolov3.weights holds 62,001,757 "
        "numbers, of which 52,608 are running means and variances)",
        {"classes": 80},
        image_size=416,
    ),
    NetworkEntry(
        "ssd300",
        "object detection",
        "ssd:ssd300",
        35_641_826,
        f"Liu et al. 2016, arXiv 1512.02325, figure 2, with the 91 classes of COCO; {_TORCHVISION}",
        {"classes": 91},
        feeding={"fixed_image_size": 300},
        image_size=300,
    ),
    NetworkEntry(
        "dit-xl-2",
        "denoising of classes",
        "diffusion_transformer:diffusion_transformer",
        675_129_632,
        "Peebles and Xie 2023, arXiv 2212.09748, table 1 (675 M, latents of 256 x 256); facebookresearch/DiT models.py",
        {"hidden": 1152, "layers": 28, "heads": 16, "patch": 2},
        feeding={"side": 32},
        image_size=256,
        depth_key="layers",
    ),
    NetworkEntry(
        "vae",
        "image encoding",
        "small:variational_autoencoder",
        652_824,
        "pytorch/examples vae/main.py, counted by hand: 785x400 + 2 x 401x20 + 21x400 + 401x784",
        feeding={"channels": 1, "fixed_image_size": 28},
        batch_size=128,
        image_size=28,
    ),
    NetworkEntry(
        "ncf",
        "recommendation",
        "recommendation:neural_factorisation",
        31_832_577,
        "He et al. 2017, arXiv 1708.05031; MLPerf Training v0.5 recommendation, MovieLens-20M; "
        "counted by hand: 165,237 x 192 + 107,073",
        {"users": 138_493, "items": 26_744, "factors": 64, "widths": (256, 256, 128, 64)},
        batch_size=2048,
    ),
    NetworkEntry(
        "dlrm",
        "click prediction",
        "recommendation:click_model",
        24_036_595_969,
        "Naumov et al. 2019, arXiv 1906.00091; MLPerf Training v0.7 recommendation, Criteo 1TB; "
        "counted by hand: 187,767,399 rows x 128 + 2,368,897",
        {"rows": _CRITEO_ROWS, "bottom": (13, 512, 256, 128), "top": (1024, 1024, 512, 256)},
        batch_size=2048,
    ),
)
