"""`file.py:factory` and `package.module:factory`: the user's own code, run because the user names it.

The factory takes no arguments and returns one of: a torch.nn.Module; (module, inputs); (module, inputs, step);
a ModelDefinition. `inputs` is a tensor, a tuple of positional or a dict of keyword arguments. `step` is
`step(model, *args, **kwargs)`: a generator that yields (loss, parameters) once per optimizer, or a function that
returns the loss, or one that calls `backward()` and the optimizer itself.
"""

from __future__ import annotations

import importlib
import importlib.util
import inspect
import sys
import sysconfig
import traceback
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from types import ModuleType
from typing import TYPE_CHECKING, Any

from hardware_db.errors import FlopcastError, ModelError, UnknownModel
from profiles.models import keras_file, torchvision_shim
from profiles.models.definition import Arguments

if TYPE_CHECKING:
    import torch

_MEANT = "It was needed to import your model; nothing of flopcast failed. --debug shows the traceback"


@dataclass(frozen=True)
class UserModel:
    """What a factory returned, sorted out: `inputs` None where it gave none, `step` None where it gave none."""

    module: torch.nn.Module
    inputs: Arguments | None
    step: Callable[..., Any] | None


def load(spec: str, base: Path | None = None) -> Callable[[], Any]:
    """Import the file or module and return the factory. Raises UnknownModel or ModelError, with the line at fault."""
    keras_file.choose_torch()
    torchvision_shim.prepare()
    place, _, name = spec.rpartition(":")
    module = _import_file(place, base) if place.endswith(".py") else _import_module(place)
    found = getattr(module, name, None)
    if not callable(found):
        defined = [key for key, value in vars(module).items() if _is_own(key, value, module)]
        known = f" It defines: {', '.join(defined)}" if defined else " It defines no function"
        raise UnknownModel(f"{place} has no function {name!r}.{known}")
    _check_arguments(found, f"{place}:{name}")
    factory: Callable[[], Any] = found
    return factory


def _is_own(key: str, value: Any, module: ModuleType) -> bool:
    return callable(value) and not key.startswith("_") and getattr(value, "__module__", None) == module.__name__


def _import_file(place: str, base: Path | None) -> ModuleType:
    path = (base or Path()) / place
    if not path.is_file():
        raise UnknownModel(f"There is no file {place}. Expected path/to/file.py:function")
    name = f"flopcast_user_{path.stem}"
    spec = importlib.util.spec_from_file_location(name, path)
    if spec is None or spec.loader is None:
        raise UnknownModel(f"{place} is no Python file")
    module = importlib.util.module_from_spec(spec)
    sys.modules[name] = module
    sys.path.insert(0, str(path.resolve().parent))
    try:
        spec.loader.exec_module(module)
    except (Exception, SystemExit) as error:
        del sys.modules[name]
        raise _import_failure(place, error) from error
    finally:
        sys.path.remove(str(path.resolve().parent))
    return module


def _import_module(place: str) -> ModuleType:
    sys.path.insert(0, "")
    try:
        return importlib.import_module(place)
    except ModuleNotFoundError as error:
        if error.name is not None and (place == error.name or place.startswith(f"{error.name}.")):
            raise UnknownModel(f"There is no module {place!r} here. Expected package.module:function") from error
        raise _import_failure(place, error) from error
    except (Exception, SystemExit) as error:
        raise _import_failure(place, error) from error
    finally:
        sys.path.remove("")


def _import_failure(place: str, error: BaseException) -> ModelError:
    if isinstance(error, SyntaxError):
        return ModelError(f"{place}:{error.lineno}: {error.msg}\n{_MEANT}")
    return ModelError(f"{_where(error) or place}: {_said(error)}\n{_MEANT}")


def _where(error: BaseException) -> str:
    """Return "file.py:3", the last line of the user's own code that the error passed; empty where there is none."""
    installed = (sysconfig.get_path("purelib"), sysconfig.get_path("stdlib"), str(Path(__file__).parents[1]), "<")
    frames = [f for f in traceback.extract_tb(error.__traceback__) if not f.filename.startswith(installed)]
    return f"{Path(frames[-1].filename).name}:{frames[-1].lineno}" if frames else ""


def _said(error: BaseException) -> str:
    if isinstance(error, SystemExit):
        return f"it ended the program with exit({error.code!r})"
    text = str(error).strip()
    return text.splitlines()[0] if text else type(error).__name__


def _check_arguments(factory: Callable[..., Any], name: str) -> None:
    try:
        parameters = inspect.signature(factory).parameters.values()
    except (TypeError, ValueError):
        return
    needed = [p.name for p in parameters if p.default is p.empty and p.kind not in (p.VAR_POSITIONAL, p.VAR_KEYWORD)]
    if needed:
        listed = ", ".join(repr(argument) for argument in needed)
        raise ModelError(f"{name} needs {listed}; give a function without required arguments")


def call(factory: Callable[[], Any], name: str) -> Any:
    """Run the factory. Raises ModelError with the user's line where it fails."""
    try:
        return factory()
    except FlopcastError:
        raise
    except (Exception, SystemExit) as error:
        where = _where(error)
        raise ModelError(f"{name}() failed{f' at {where}' if where else ''}: {_said(error)}") from error


def sort_out(returned: Any, name: str) -> UserModel:
    """Tell module, inputs and step apart. Raises ModelError for anything else a factory may return."""
    import torch

    parts = returned if isinstance(returned, tuple) else (returned,)
    if parts and keras_file.is_keras(parts[0]):
        keras_file.check_backend(name)
        parts = (keras_file.wrapped(parts[0]), *parts[1:])
    if not 1 <= len(parts) <= 3 or not isinstance(parts[0], torch.nn.Module):
        kind = type(returned).__name__
        raise ModelError(
            f"{name}() returned {_article(kind)} {kind}; expected torch.nn.Module, (module, inputs) or "
            "(module, inputs, step)"
        )
    inputs = _as_arguments(parts[1]) if len(parts) > 1 and parts[1] is not None else None
    return UserModel(parts[0], inputs, as_step(parts[2]) if len(parts) > 2 else None)


def _article(kind: str) -> str:
    return "an" if kind[0].lower() in "aeiou" else "a"


def _as_arguments(inputs: Any) -> Arguments:
    if isinstance(inputs, Mapping):
        return (), dict(inputs)
    if isinstance(inputs, tuple) and len(inputs) == 2 and isinstance(inputs[0], tuple) and isinstance(inputs[1], dict):
        return inputs
    return (tuple(inputs), {}) if isinstance(inputs, (tuple, list)) else ((inputs,), {})


def as_step(step: Callable[..., Any]) -> Callable[..., Iterator[tuple[Any, Iterable[Any]]]]:
    """Make a generator of (loss, parameters) from the user's step, which may simply return the loss."""

    def steps(model: Any, *args: Any, **kwargs: Any) -> Iterator[tuple[Any, Iterable[Any]]]:
        made = step(model, *args, **kwargs)
        if inspect.isgenerator(made):
            yield from made
        else:
            yield made, model.parameters()

    return steps
