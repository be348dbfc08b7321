"""The one MODEL grammar: from a text to a model that can be built without its weights. Importing this needs no torch.

=============================================  ======================================================================
`gpt2`, `resnet50` ...                         a name of the zoo, see `names()`
`path/to/file.py:function`                     the user's own code
`package.module:function`                      the same, from an importable module
`config.json`, `hf:config.json,key=value`      a Hugging Face configuration file, values changed
`hf:MODEL_TYPE,key=value,...#ForCausalLM`      a Hugging Face configuration written out, with a head
`timm:NAME,key=value`, `torchvision:NAME`      models of those packages, where installed
`model.pt2`, `model.onnx`, `model.keras`       exported programs, as data
`params=7B,layers=32,hidden=4096`              sizes only, before any code exists
=============================================  ======================================================================
"""

from __future__ import annotations

from profiles.models.definition import DeclaredModel, Depth, ModelDefinition, Sizes
from profiles.models.grammar import resolve
from profiles.models.input_text import InputSpec, parse_inputs
from profiles.models.losses import model_loss
from profiles.models.zoo import ModelName, names

__all__ = [
    "DeclaredModel",
    "Depth",
    "InputSpec",
    "ModelDefinition",
    "ModelName",
    "Sizes",
    "model_loss",
    "names",
    "parse_inputs",
    "resolve",
]
