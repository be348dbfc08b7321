"""A store that is unreachable, locked, broken, newer, full or killed says so, and loses nothing."""

import multiprocessing
import os
import signal
import sqlite3
import time
from dataclasses import replace
from pathlib import Path

import pytest
import sqlalchemy as sa

from hardware_db import here as here_module
from hardware_db import load
from hardware_db.errors import DataError, StoreError
from hardware_db.here import load_here
from hardware_db.store import Store, migrate, open_store
from hardware_db.store_schema import MIGRATIONS, own_devices, snapshots, versions
from hardware_db.store_transfer import export_store, import_store
from tests.hardware_servers import OFFER


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ("not json", "cannot be read"),
        ("[]", "no export"),
        ('{"format": 99, "tables": {}}', "format 99"),
        ('{"format": 1, "tables": {"prices": [{"id": 1, "snapshot_id": 7}]}}', "does not fit"),
        ('{"format": 1, "tables": {"measurements": [{"id": 1, "colour": "red"}]}}', "does not fit"),
    ],
)
def test_a_file_that_is_no_export_changes_nothing(store: Store, tmp_path: Path, content: str, message: str) -> None:
    file = tmp_path / "file.json"
    file.write_text(content)
    with pytest.raises(DataError, match=message):
        import_store(store, file)
    assert set(store.counts().values()) == {0}


def test_a_full_disk_leaves_the_old_export(store: Store, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    file = tmp_path / "export.json"
    export_store(store, file)
    before = file.read_bytes()
    store.save_offers([OFFER], "more")

    def full(descriptor: int) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(DataError, match="No space left on device"):
        export_store(store, file)
    assert file.read_bytes() == before
    assert [path.name for path in tmp_path.iterdir() if path.name.startswith("export")] == ["export.json"]


def test_a_step_that_fails_leaves_the_version_before(url: str) -> None:
    def broken(connection: sa.Connection) -> None:
        connection.execute(own_devices.delete())
        raise RuntimeError("power cut")

    opened = open_store(url)
    with pytest.raises(RuntimeError), opened.transaction() as connection:
        migrate(connection, {**MIGRATIONS, 2: broken})
    with opened.transaction() as connection:
        assert connection.execute(sa.select(sa.func.max(versions.c.version))).scalar_one() == 1
    opened.engine.dispose()


def test_a_database_of_a_newer_flopcast_is_left_alone(url: str) -> None:
    opened = open_store(url)
    with opened.transaction() as connection:
        connection.execute(versions.insert().values(version=99, applied_at=sa.func.current_timestamp()))
    opened.engine.dispose()
    with pytest.raises(StoreError, match="has schema 99, this flopcast knows 1"):
        open_store(url)


def test_an_unreachable_server_is_named_without_its_password() -> None:
    pytest.importorskip("psycopg")
    with pytest.raises(StoreError) as caught:
        open_store("postgresql://flopcast:secret@127.0.0.1:1/none")
    assert "127.0.0.1:1" in str(caught.value) and "secret" not in str(caught.value)
    assert "Published tables answer without it" in str(caught.value)


@pytest.mark.parametrize(
    "address", ["nonsense", "oracle9000://x", "oracle9000://me:hush@h/x", "sqlite:////proc/none/flopcast.db"]
)
def test_an_address_that_leads_nowhere_is_a_mistake(address: str) -> None:
    with pytest.raises(StoreError, match=r"Try sqlite:///PATH or postgresql://|cannot be made") as caught:
        open_store(address)
    assert "hush" not in str(caught.value) and len(str(caught.value).splitlines()) <= 2


def test_a_file_that_is_no_database_is_a_mistake(tmp_path: Path) -> None:
    path = tmp_path / "flopcast.db"
    path.write_text("this is a letter, not a database. " * 99)
    with pytest.raises(StoreError, match="is no SQLite database"):
        open_store(f"sqlite:///{path}")


def test_a_locked_database_says_who_holds_it(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("hardware_db.store.LOCK_WAIT_S", 0.2)
    path = tmp_path / "flopcast.db"
    store = open_store(f"sqlite:///{path}")
    holder = sqlite3.connect(path, isolation_level=None)
    holder.execute("BEGIN IMMEDIATE")
    with pytest.raises(StoreError, match="is busy: another process is writing"):
        store.save_offers([OFFER], "late")
    assert store.offers() == (), "readers go on"
    holder.execute("ROLLBACK")
    store.save_offers([OFFER], "in time")
    assert store.offers() == (OFFER,)


def _write(url: str, name: str) -> None:
    store = open_store(url)
    for turn in range(5):
        store.save_offers([replace(OFFER, provider=f"{name}-{turn}")], name)


def test_several_processes_write_without_losing_anything(url: str) -> None:
    open_store(url).engine.dispose()
    context = multiprocessing.get_context("spawn")
    writers = [context.Process(target=_write, args=(url, f"writer-{number}")) for number in range(2)]
    for writer in writers:
        writer.start()
    for writer in writers:
        writer.join(timeout=120)
        assert writer.exitcode == 0
    store = open_store(url)
    assert len(store.offers()) == 10 and len(store.snapshots()) == 10
    store.engine.dispose()


def _write_slowly(url: str) -> None:
    store = open_store(url)
    with store.transaction() as connection:
        connection.execute(snapshots.insert().values(taken_at=sa.func.current_timestamp(), source="half way"))
        Path(os.environ["FLOPCAST_TEST_MARK"]).touch()
        time.sleep(600)


def test_a_process_killed_half_way_leaves_what_was_there(
    url: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    mark = tmp_path / "mark"
    monkeypatch.setenv("FLOPCAST_TEST_MARK", str(mark))
    store = open_store(url)
    store.save_offers([OFFER], "before")
    victim = multiprocessing.get_context("spawn").Process(target=_write_slowly, args=(url,))
    victim.start()
    for _ in range(600):
        if mark.exists():
            break
        time.sleep(0.05)
    assert mark.exists() and victim.pid
    os.kill(victim.pid, signal.SIGKILL)
    victim.join(timeout=30)
    assert [known.source for known in store.snapshots()] == ["before"]
    store.save_offers([OFFER], "after")
    store.engine.dispose()


def test_published_tables_answer_when_the_store_does_not(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "flopcast.db"
    path.write_text("this is a letter, not a database. " * 99)
    monkeypatch.setenv("FLOPCAST_DB", f"sqlite:///{path}")
    found = load_here()
    assert len(found.warnings) == 1 and "Published tables answer" in found.warnings[0]
    assert found.database.offers("h100-sxm") == load().offers("h100-sxm")


def test_no_store_is_made_by_asking(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("FLOPCAST_DB", raising=False)
    monkeypatch.setenv("XDG_DATA_HOME", str(tmp_path))
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path))
    assert load_here().database is load()
    assert list(tmp_path.iterdir()) == []
    assert here_module.store_exists() is False


def test_a_server_that_never_answers_is_given_up_soon(monkeypatch: pytest.MonkeyPatch) -> None:
    """The clock runs over the name look-up and the connection together."""
    pytest.importorskip("psycopg")
    monkeypatch.setattr("hardware_db.store.CONNECT_WAIT_S", 0.3)

    def late(*_args: object, **_named: object) -> None:
        time.sleep(20)
        raise OSError("late")

    monkeypatch.setattr("socket.create_connection", late)
    start = time.monotonic()
    with pytest.raises(StoreError, match=r"cannot be reached .no answer in 0.3 s"):
        open_store("postgresql://someone@database.example/x")
    assert time.monotonic() - start < 19


def test_a_broken_file_in_the_store_leaves_the_published_tables(
    url: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("FLOPCAST_DB", url)
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path))
    with open_store(url).transaction() as connection:
        values = {"name": "rack.toml", "added_at": sa.func.current_timestamp(), "toml": "[[device]]"}
        connection.execute(own_devices.insert().values(values))
    found = load_here()
    assert found.database.device("l4") and "rack.toml in the store" in found.warnings[0]
