"""Tests see neither the user's caches and files nor the width of the terminal they are started from."""

from __future__ import annotations

import importlib.util
import os
import sys
import tempfile
from collections.abc import Iterator
from functools import cache
from pathlib import Path

import pytest
import sqlalchemy
from hypothesis import settings
from jsonschema import Draft202012Validator

from estimator.schemas import schema_of
from hardware_db.store import Store, open_store
from hardware_db.store_schema import metadata, versions
from profiles.models import torchvision_shim
from tests.hardware_servers import postgres_tool, running_postgres
from tests.optional_packages import pytest_make_collect_report, pytest_runtest_makereport

__all__ = ["pytest_make_collect_report", "pytest_runtest_makereport"]

# Before any test imports transformers, which imports torchvision where it finds it.
torchvision_shim.prepare()

# How long an example takes says more about the machine than about the code.
settings.register_profile("any machine", deadline=None)
settings.load_profile("any machine")

FOLDERS = ("XDG_CACHE_HOME", "XDG_DATA_HOME", "XDG_CONFIG_HOME")
SETTINGS = ("COLUMNS", "NO_COLOR", "FORCE_COLOR", "FLOPCAST_DB", "FLOPCAST_PRICES_URL")


@pytest.fixture(scope="session", autouse=True)
def clean_surroundings(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    home = tmp_path_factory.mktemp("home")
    with pytest.MonkeyPatch.context() as patch:
        for name in FOLDERS:
            patch.setenv(name, str(home / name.lower()))
        for name in SETTINGS:
            patch.delenv(name, raising=False)
        assert "COLUMNS" not in os.environ
        yield home


@pytest.fixture(scope="session", autouse=True)
def documents_keep_to_their_schemas() -> Iterator[None]:
    """Whatever a test lets a command say in JSON is what the command's schema says."""
    from estimator.cli.output import Answer
    from estimator.schemas.build import DOCUMENTS

    made = Answer.document

    def checked(answer: Answer) -> dict[str, object]:
        document = made(answer)
        if answer.command in DOCUMENTS:  # not a command that a test makes up
            validator(answer.command).validate(document)
        return document

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(Answer, "document", checked)
        yield


@cache
def validator(command: str) -> Draft202012Validator:
    return Draft202012Validator(schema_of(command))


@pytest.fixture
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Give a test folders of its own: it neither sees nor leaves anything on the machine."""
    for name in FOLDERS:
        monkeypatch.setenv(name, str(tmp_path / name.split("_")[1].lower()))
    monkeypatch.delenv("FLOPCAST_DB", raising=False)
    return tmp_path


@pytest.fixture(scope="session")
def postgres() -> Iterator[str]:
    """Start a PostgreSQL of our own on loopback and give its address."""
    if not postgres_tool("postgres") or not importlib.util.find_spec("psycopg"):
        pytest.skip("needs PostgreSQL (apt-get install postgresql) and psycopg")
    with tempfile.TemporaryDirectory(prefix="flopcast-pg") as folder, running_postgres(Path(folder)) as url:
        yield url


@pytest.fixture(params=["sqlite", "postgresql"])
def url(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[str]:
    """Give the address of an empty database, once of each kind."""
    if request.param == "sqlite":
        yield f"sqlite:///{tmp_path / 'deep' / 'flopcast.db'}"
        return
    address: str = request.getfixturevalue("postgres")
    yield address
    engine = sqlalchemy.create_engine(address)
    metadata.drop_all(engine)
    versions.drop(engine, checkfirst=True)
    engine.dispose()


@pytest.fixture
def store(url: str) -> Iterator[Store]:
    opened = open_store(url)
    yield opened
    opened.engine.dispose()


@pytest.fixture(autouse=True)
def own_main():
    """Streamlit's AppTest puts its script in the place of `__main__`, which new processes would then run."""
    before = sys.modules["__main__"]
    yield
    sys.modules["__main__"] = before
