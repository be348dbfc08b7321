"""The store: the same tests on SQLite and PostgreSQL."""

import json
from dataclasses import replace
from datetime import date, datetime
from pathlib import Path

import pytest
import sqlalchemy as sa

from hardware_db import Measurement, load
from hardware_db.errors import DataError, StoreError
from hardware_db.here import load_here
from hardware_db.store import Store, migrate, open_store
from hardware_db.store_documents import StoredProfile, save_profile, share_devices, stored_profiles
from hardware_db.store_schema import MIGRATIONS, own_devices, versions
from hardware_db.store_transfer import export_store, import_store
from tests.hardware_servers import OFFER

MEASUREMENT = Measurement(
    "h200-sxm", "matmul", "bfloat16", "8192x8192x8192", 7.1e14, "FLOP/s", "torch 2.13.0", "our rack", date(2026, 11, 1)
)


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


def test_migrations_run_once_each_and_in_order(url: str) -> None:
    ran: list[int] = []
    steps = {**MIGRATIONS, 2: lambda connection: ran.append(2), 3: lambda connection: ran.append(3)}
    opened = open_store(url)
    for _ in range(2):
        with opened.transaction() as connection:
            assert migrate(connection, steps) == 3
    assert ran == [2, 3]
    opened.engine.dispose()


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
