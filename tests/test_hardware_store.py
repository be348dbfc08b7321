"""The store: the same tests on SQLite and PostgreSQL; unreachable, locked and newer databases say so."""

import importlib.util
import json
import multiprocessing
import os
import signal
import sqlite3
import time
from collections.abc import Iterator
from dataclasses import replace
from datetime import date, datetime
from pathlib import Path

import pytest
import sqlalchemy as sa

from hardware_db import Measurement, Offer, load
from hardware_db import here as here_module
from hardware_db.errors import DataError, StoreError
from hardware_db.here import load_here
from hardware_db.store import Store, migrate, open_store
from hardware_db.store_documents import StoredProfile, save_profile, share_devices, stored_profiles
from hardware_db.store_schema import MIGRATIONS, metadata, own_devices, snapshots, versions
from hardware_db.store_transfer import export_store, import_store
from tests.hardware_servers import postgres_tool, running_postgres

OFFER = Offer(
    provider="acme", instance="big-8", region="eu-1", device="h100-sxm", device_count=8, vcpus=128.0, cores=None,
    memory_bytes=2**40, pricing="on_demand", usd_per_hour=16.0, as_of=date(2026, 11, 20), source="quote 17", kind="vm",
)  # fmt: skip
MEASUREMENT = Measurement(
    "h200-sxm", "matmul", "bfloat16", "8192x8192x8192", 7.1e14, "FLOP/s", "torch 2.13.0", "our rack", date(2026, 11, 1)
)


@pytest.fixture(scope="module")
def postgres(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    if not postgres_tool("postgres") or not importlib.util.find_spec("psycopg"):
        pytest.skip("needs PostgreSQL (apt-get install postgresql) and psycopg")
    import tempfile

    with tempfile.TemporaryDirectory(prefix="flopcast-pg") as folder, running_postgres(Path(folder)) as url:
        yield url


@pytest.fixture(params=["sqlite", "postgresql"])
def url(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[str]:
    if request.param == "sqlite":
        yield f"sqlite:///{tmp_path / 'deep' / 'flopcast.db'}"
        return
    address: str = request.getfixturevalue("postgres")
    yield address
    engine = sa.create_engine(address)
    metadata.drop_all(engine)
    versions.drop(engine, checkfirst=True)
    engine.dispose()


@pytest.fixture
def store(url: str) -> Iterator[Store]:
    opened = open_store(url)
    yield opened
    opened.engine.dispose()


def test_a_new_store_is_empty_and_of_the_newest_schema(store: Store) -> None:
    assert set(store.counts().values()) == {0}
    assert store.offers() == () and store.snapshots() == () and store.measurements() == ()
    with store.engine.connect() as connection:
        assert connection.execute(sa.select(versions.c.version)).scalars().all() == [max(MIGRATIONS)]


def test_offers_come_back_as_they_went_in(store: Store) -> None:
    snapshot = store.save_offers([OFFER], "a quote")
    assert snapshot.offers == 1
    assert store.offers() == (OFFER,)
    assert [(known.source, known.offers) for known in store.snapshots()] == [("a quote", 1)]


def test_the_newest_snapshot_of_each_provider_counts(store: Store) -> None:
    other = replace(OFFER, provider="umbrella", usd_per_hour=20.0)
    store.save_offers([OFFER, other], "first")
    store.save_offers([replace(OFFER, usd_per_hour=12.0, as_of=date(2026, 11, 21))], "second")
    assert {(offer.provider, offer.usd_per_hour) for offer in store.offers()} == {("acme", 12.0), ("umbrella", 20.0)}
    assert [offer.usd_per_hour for offer in store.history("h100-sxm") if offer.provider == "acme"] == [16.0, 12.0]
    assert store.history("l4") == ()


def test_own_lists_count_side_by_side(store: Store) -> None:
    west = replace(OFFER, region="west", usd_per_hour=20.0)
    store.save_offers([OFFER], "a list of one region")
    store.save_offers([west], "a list of another")
    assert {(offer.region, offer.usd_per_hour) for offer in store.offers()} == {(OFFER.region, 16.0), ("west", 20.0)}
    store.save_offers([replace(west, usd_per_hour=18.0)], "a correction")
    assert {(offer.region, offer.usd_per_hour) for offer in store.offers()} == {(OFFER.region, 16.0), ("west", 18.0)}


def test_a_quote_stands_beside_a_catalogue_and_outlasts_it(store: Store) -> None:
    other = replace(OFFER, instance="rack-2", usd_per_hour=30.0)
    quote = replace(OFFER, usd_per_hour=9.0)
    store.save_offers([OFFER, other], "a catalogue", complete=True)
    store.save_offers([quote], "a quote")
    assert set(store.offers()) == {quote, other}
    later = replace(OFFER, usd_per_hour=15.0, as_of=date(2026, 11, 21))
    store.save_offers([later], "the next catalogue", complete=True)
    assert set(store.offers()) == {quote}, "rack-2 is offered no more, the quote holds"
    assert store.catalogues() == (later,)


def test_a_snapshot_goes_in_whole_or_not_at_all(store: Store) -> None:
    store.save_offers([OFFER], "good")
    with pytest.raises(StoreError, match="does not answer as it should"):
        store.save_offers([OFFER, replace(OFFER, usd_per_hour=-1.0)], "bad")
    assert [known.source for known in store.snapshots()] == ["good"]
    assert store.offers() == (OFFER,)


def test_measurements_are_kept_apart_by_device(store: Store) -> None:
    assert store.save_measurements([MEASUREMENT, replace(MEASUREMENT, device="l4")]) == 2
    assert store.measurements("h200-sxm") == (MEASUREMENT,)
    assert len(store.measurements()) == 2


def test_opening_again_keeps_everything(store: Store, url: str) -> None:
    store.save_offers([OFFER], "a quote")
    again = open_store(url)
    assert again.offers() == (OFFER,)
    again.engine.dispose()


def test_an_export_moves_to_another_store(store: Store, tmp_path: Path) -> None:
    store.save_offers([OFFER], "a quote")
    store.save_measurements([MEASUREMENT])
    with store.transaction() as connection:
        connection.execute(
            own_devices.insert().values(name="x", added_at=sa.func.current_timestamp(), toml="[[device]]")
        )
    file = tmp_path / "out" / "export.json"
    assert export_store(store, file) == {
        "price_snapshots": 1, "prices": 1, "measurements": 1, "machine_profiles": 0, "own_devices": 1,
    }  # fmt: skip
    other = open_store(f"sqlite:///{tmp_path / 'other.db'}")
    other.save_offers([replace(OFFER, provider="umbrella")], "was there")
    import_store(other, file)
    assert {offer.provider for offer in other.offers()} == {"acme", "umbrella"}
    assert other.measurements() == (MEASUREMENT,)
    assert other.counts()["own_devices"] == 1
    import_store(other, file)
    assert other.counts()["own_devices"] == 1, "a named row takes the place of the one with its name"


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


def test_migrations_run_once_each_and_in_order(url: str) -> None:
    ran: list[int] = []
    steps = {**MIGRATIONS, 2: lambda connection: ran.append(2), 3: lambda connection: ran.append(3)}
    opened = open_store(url)
    for _ in range(2):
        with opened.transaction() as connection:
            assert migrate(connection, steps) == 3
    assert ran == [2, 3]
    opened.engine.dispose()


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


def test_here_lays_stored_prices_over_the_published_ones(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    url = f"sqlite:///{tmp_path / 'flopcast.db'}"
    monkeypatch.setenv("FLOPCAST_DB", url)
    published = next(o for o in load().offers("h100-sxm", provider="aws") if o.pricing == "on_demand")
    today = replace(published, usd_per_hour=published.usd_per_hour / 2, as_of=date(2026, 11, 20))
    open_store(url).save_offers([OFFER, today], "both")
    found = load_here()
    assert found.warnings == ()
    assert OFFER in found.database.offers("h100-sxm")
    same = [o for o in found.database.offers("h100-sxm", provider="aws", region=published.region, pricing="on_demand")
            if o.instance == published.instance]  # fmt: skip
    assert same == [today]
    assert published in found.database.offers("h100-sxm", history=True)


def test_profiles_are_kept_by_name(store: Store) -> None:
    profile = StoredProfile("our-h200", "h200-sxm", datetime(2026, 11, 1, 12), {"matmul": [7.1e14]})
    save_profile(store, profile)
    save_profile(store, replace(profile, document={"matmul": [7.2e14]}))
    save_profile(store, replace(profile, name="our-l4", device="l4"))
    assert [known.document for known in stored_profiles(store, "h200-sxm")] == [{"matmul": [7.2e14]}]
    assert len(stored_profiles(store)) == 2


OWN = """[[device]]
id = "h100-sxm"
like = "h100-sxm"
source = "our rack"
date = 2026-11-01
tdp = "{watts} W"
"""


def test_a_team_shares_its_devices(store: Store, url: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("FLOPCAST_DB", url)
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path))
    file = tmp_path / "rack.toml"
    file.write_text(OWN.format(watts=500))
    assert [device.tdp_w for device in share_devices(store, file, load()).devices] == [500]
    assert load_here().database.device("h100-sxm").tdp_w == 500
    file.write_text(OWN.format(watts=400))
    share_devices(store, file, load())
    assert load_here().database.device("h100-sxm").tdp_w == 400
    own = tmp_path / "mine.toml"
    own.write_text(OWN.format(watts=300))
    assert load_here(own).database.device("h100-sxm").tdp_w == 300, "the user's own file counts more"
    file.write_text("nonsense")
    with pytest.raises(DataError, match="cannot be read"):
        share_devices(store, file, load())
    assert store.counts()["own_devices"] == 1


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


def test_an_export_is_readable_text(store: Store, tmp_path: Path) -> None:
    store.save_offers([OFFER], "a quote")
    export_store(store, tmp_path / "export.json")
    document = json.loads((tmp_path / "export.json").read_text())
    assert document["format"] == 1
    assert document["tables"]["prices"][0]["as_of"] == "2026-11-20"


def test_the_same_prices_are_stored_once(store: Store, tmp_path: Path) -> None:
    other = replace(OFFER, provider="umbrella", usd_per_hour=20.0)
    first = store.save_offers([OFFER, other], "a list")
    again = store.save_offers([other, OFFER], "a list")
    assert (first.added, again.added, again.id) == (True, False, first.id)
    assert len(store.snapshots()) == 1
    store.save_offers([replace(OFFER, usd_per_hour=12.0)], "cheaper")
    assert store.save_offers([OFFER, other], "a list").added, "an older price that counts again is stored again"


def test_an_import_twice_is_an_import_once(store: Store, tmp_path: Path) -> None:
    store.save_offers([OFFER], "a quote")
    store.save_measurements([MEASUREMENT, MEASUREMENT])
    save_profile(store, StoredProfile("bench", "l4", datetime(2026, 11, 2), {"b": [1, 2.5], "a": None}))
    file = tmp_path / "export.json"
    export_store(store, file)
    before = store.counts()
    assert set(import_store(store, file).values()) == {0}
    assert store.counts() == before
    fresh = open_store(f"sqlite:///{tmp_path / 'fresh.db'}")
    assert import_store(fresh, file)["measurements"] == 2, "two equal rows stay two"
    assert set(import_store(fresh, file).values()) == {0}
    fresh.engine.dispose()


def test_an_old_backup_does_not_replace_newer_prices(store: Store, tmp_path: Path) -> None:
    old = open_store(f"sqlite:///{tmp_path / 'old.db'}")
    old.save_offers([OFFER], "a backup")
    export_store(old, tmp_path / "backup.json")
    old.engine.dispose()
    newer = replace(OFFER, usd_per_hour=12.0)
    store.save_offers([newer], "today")
    assert import_store(store, tmp_path / "backup.json")["prices"] == 1
    assert store.offers() == (newer,)
    assert [known.source for known in store.snapshots()] == ["a backup", "today"]


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


def test_prices_alone_are_no_reason_to_open_the_store(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("FLOPCAST_DB", raising=False)
    for name in ("XDG_DATA_HOME", "XDG_CONFIG_HOME"):
        monkeypatch.setenv(name, str(tmp_path))
    store = open_store()
    assert load_here(needs_prices=False).database is load()
    (file := tmp_path / "rack.toml").write_text(OWN.format(watts=500))
    share_devices(store, file, load())
    assert load_here(needs_prices=False).database.device("h100-sxm").tdp_w == 500
    monkeypatch.setenv("XDG_DATA_HOME", str(tmp_path / "damaged"))
    (tmp_path / "damaged" / "flopcast").mkdir(parents=True)
    (tmp_path / "damaged" / "flopcast" / "flopcast.db").write_text("this is a letter, not a database. " * 99)
    assert "Published tables answer" in load_here(needs_prices=False).warnings[0]
