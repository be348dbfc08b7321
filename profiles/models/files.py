"""Files given as a model: which are data we read, which are refused, and what to give instead."""

from __future__ import annotations

import hashlib
import importlib.util
from pathlib import Path
from typing import NoReturn

from hardware_db.errors import MissingExtra, ModelError, UnknownModel

_PICKLE = (
    "{} is a pickle: opening it runs whatever code it holds, so it is refused.\n"
    "Give the code that makes the model (file.py:function), or export it: torch.export.save(..., 'model.pt2')"
)
_WEIGHTS = "{} holds weights but not the model they belong to.\nGive its configuration: path/to/config.json, or hf:..."
_REFUSED = {
    **dict.fromkeys((".pt", ".pth", ".pkl", ".pickle", ".bin", ".ckpt", ".joblib"), _PICKLE),
    **dict.fromkeys((".safetensors", ".gguf", ".npz"), _WEIGHTS),
    ".h5": "{} is a Keras 2 file.\nLoad it in Keras 3 and save it again: model.save('model.keras')",
    ".tflite": "{} is a TensorFlow Lite model.\nConvert it: python -m tf2onnx.convert --tflite {} --opset 13 "
    "--output model.onnx",
    ".py": "{} names a file but no function in it. Expected {}:function",
}
_SAVED_MODEL = (
    "{} is a TensorFlow SavedModel, which is read through ONNX:\n"
    "python -m tf2onnx.convert --saved-model {} --opset 13 --output model.onnx, then give model.onnx"
)
_FOLDER = "{} is a folder. Expected a file, for example {}/config.json"


def refuse(text: str, suffix: str, base: Path | None) -> None:
    """Raise ModelError for a file or folder that is no model here, with what to give instead; return for others."""
    path = (base or Path()) / text
    if (path / "saved_model.pb").exists() or path.name == "saved_model.pb":
        folder = text.removesuffix("saved_model.pb").rstrip("/") or "."
        raise ModelError(_SAVED_MODEL.format(folder, folder))
    if suffix in _REFUSED:
        raise ModelError(_REFUSED[suffix].replace("{}", text))
    if path.is_dir() and ("/" in text or (path / "config.json").exists()):
        raise ModelError(_FOLDER.replace("{}", text.rstrip("/")))


def digest(path: Path) -> str:
    """Return the SHA-256 of a file. Raises UnknownModel where there is none."""
    try:
        with path.open("rb") as file:
            return hashlib.file_digest(file, "sha256").hexdigest()
    except OSError as error:
        raise UnknownModel(f"Cannot read {path}: {error.strerror}") from error


def need(package: str, text: str, extra: str) -> None:
    """Raise MissingExtra, with the extra that brings it, where a package is not installed."""
    if importlib.util.find_spec(package) is None:
        raise MissingExtra(f"{text} needs {package}, which is not installed.\npip install 'flopcast[{extra}]'")


def first_line(error: BaseException) -> str:
    """Return the first line an error says, or its kind."""
    text = str(error).strip()
    return text.splitlines()[0] if text else type(error).__name__


def unreadable(text: str, error: Exception) -> NoReturn:
    """Raise ModelError with the reader's own first line."""
    raise ModelError(f"{text} cannot be read: {first_line(error)}") from error
