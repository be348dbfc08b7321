"""`flopcast doctor`: what works here, and what to install for the rest."""

from __future__ import annotations

import os
import platform
from collections.abc import Callable, Iterator
from typing import Any

import click

from estimator.cli.output import Answer, Output, output_options
from estimator.cli.version import version_text
from estimator.text.checks import Check, check_list
from hardware_db.errors import FlopcastError

PACKAGES = (
    ("torch", "profile", "counting the operations of a model"),
    ("fvcore", "profile", "the second opinion of flopcast profile --cross-check"),
    ("transformers", "huggingface", "models by Hugging Face configuration"),
    ("streamlit", "dashboard", "flopcast dashboard"),
    ("plotly", "dashboard", "the charts of the dashboard"),
)
"""Optional package, the extra that installs it, what it is for."""


@click.command("doctor")
@output_options
def command(output: Output) -> int:
    """Show what works on this machine and what to install for the rest.

    Exit code 1: something that flopcast needs is broken.
    """
    checks = list(_checks())
    answer = Answer("doctor", lambda page: check_list(page, checks), results=lambda: checks)
    output.show(answer)
    return 1 if any(check.ok is False for check in checks) else 0


def _checks() -> Iterator[Check]:
    yield Check("python", True, f"{platform.python_version()} on {platform.system()} {platform.machine()}")
    yield _attempt("data", version_text, "the tables of flopcast are damaged: install it again")
    for package, extra, purpose in PACKAGES:
        yield _package(package, extra, purpose)
    yield _attempt("devices", _torch_devices, "torch does not load: install it again")
    yield _attempt("own devices", _own_devices, "mend the file or move it away: flopcast hardware --check FILE")
    yield _attempt(
        "database", _database, "set FLOPCAST_DB to one that answers, or unset it; published tables need none"
    )
    yield _attempt("cache", _cache_folder, "profiles cannot be kept: set XDG_CACHE_HOME to a folder you may write")


def _attempt(name: str, find: Callable[[], str], remedy: str) -> Check:
    try:
        return Check(name, True, find())
    except (FlopcastError, OSError, RuntimeError, ValueError) as error:
        return Check(name, False, str(error).splitlines()[0], remedy)


def _package(package: str, extra: str, purpose: str) -> Check:
    from importlib.metadata import PackageNotFoundError, version

    try:
        return Check(package, True, version(package))
    except PackageNotFoundError:
        return Check(package, None, "not installed", f"for {purpose}: pip install 'flopcast[{extra}]'")


def installed_torch() -> Any:
    """Return torch, or None where it is not installed: what a machine has is the one question that asks it here."""
    try:
        import torch
    except ModuleNotFoundError:
        return None
    return torch


def _torch_devices() -> str:
    """Name what torch can run on here. Estimating needs none of it."""
    torch = installed_torch()
    if torch is None:
        return "not looked for: torch is not installed"
    names = [torch.cuda.get_device_name(place) for place in range(torch.cuda.device_count())]
    return ", ".join(["cpu", *names]) + ("" if names else " (estimates for other hardware need no accelerator)")


def _own_devices() -> str:
    from hardware_db.database import load
    from hardware_db.here import default_file, default_place

    file = default_file()
    if file is None:
        return f"none: there is no {default_place()}"
    from hardware_db.own import read_own

    own = read_own(file, load())
    return f"{file}, devices: {len(own.devices)}, systems: {len(own.systems)}"


def _database() -> str:
    from hardware_db.store_place import store_exists

    if not store_exists():
        return "none yet: the first price or measurement makes it"
    from hardware_db.store import open_store

    store = open_store()
    return f"{store.engine.url.render_as_string(hide_password=True)}, {sum(store.counts().values())} rows"


def _cache_folder() -> str:
    from platformdirs import user_cache_path

    folder = user_cache_path("flopcast")
    folder.mkdir(parents=True, exist_ok=True)
    if not os.access(folder, os.W_OK):
        raise OSError(f"{folder} cannot be written")
    kept = [path.stat().st_size for path in folder.rglob("*") if path.is_file()]
    return f"{folder}, {len(kept)} files, {sum(kept) / 1e6:.3g} MB"
