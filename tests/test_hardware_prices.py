"""Refresh, import, history: new prices count only if they can be true; the old ones survive any failure."""

import io
import subprocess
import sys
import time
import zipfile
from collections.abc import Iterator
from dataclasses import replace
from datetime import date
from pathlib import Path

import pytest

from hardware_db import Database, load
from hardware_db.errors import DataError, PricesError
from hardware_db.price_catalog import LeftOut, read_catalog
from hardware_db.price_history import price_history
from hardware_db.price_import import import_prices, read_price_list
from hardware_db.price_refresh import Catalogs, refresh_prices
from hardware_db.store import Store, open_store
from tests.hardware_servers import CatalogServer, catalog, zipped

NEBIUS = [
    f"gpu-h100-sxm_{n}gpu,{region},{2.95 * n},{16 * n},{200 * n},{n},H100,80,False,,nvidia,"
    for n in (1, 8)
    for region in ("eu-north1", "us-central1")
] + ["gpu-h100-sxm_8gpu,eu-north1,10.0,128,1600,8,H100,80,True,,nvidia,"]
RUNPOD = [f"NVIDIA L40S,{region},0.86,16,62,1,L40S,48,False,,nvidia," for region in "ABCDEFGH"]


@pytest.fixture(scope="module")
def db() -> Database:
    """A database without the published offers of these providers: the share rule has a test of its own."""
    return Database(load().devices_by_id, own_offers=())


@pytest.fixture
def store(tmp_path: Path) -> Iterator[Store]:
    opened = open_store(f"sqlite:///{tmp_path / 'flopcast.db'}")
    yield opened
    opened.engine.dispose()


@pytest.fixture
def server() -> Iterator[CatalogServer]:
    served = CatalogServer()
    served.publish("nebius", catalog(NEBIUS))
    served.publish("runpod", catalog(RUNPOD))
    with served.running() as url:
        served.url = url
        yield served


@pytest.fixture
def catalogs(server: CatalogServer, tmp_path: Path) -> Catalogs:
    return Catalogs(server.url, tmp_path / "cache", timeout_s=0.7)


def test_a_refresh_stores_todays_prices(store: Store, db: Database, catalogs: Catalogs) -> None:
    result = refresh_prices(store, db, ("nebius", "runpod"), catalogs)
    assert result.offers == {"nebius": 5, "runpod": 8} and result.left_out == {}
    offers = store.offers()
    assert len(offers) == 13
    spot = next(offer for offer in offers if offer.pricing == "spot")
    assert (spot.device, spot.device_count, spot.usd_per_hour, spot.as_of) == ("h100-sxm", 8, 10.0, date.today())
    assert spot.memory_bytes == 1600 * 2**30 and "20261121-7" in spot.source


def test_a_version_that_is_on_disk_is_not_fetched_again(
    store: Store, db: Database, catalogs: Catalogs, server: CatalogServer
) -> None:
    for _ in range(2):
        refresh_prices(store, db, ("nebius",), catalogs)
    assert [path.rsplit("/", 1)[1] for path in server.asked] == ["version", "catalog.zip", "version"]
    kept = catalogs.cache / "nebius" / "20261121-7.zip"
    assert zipfile.is_zipfile(kept)


def test_a_broken_file_on_disk_is_fetched_anew(store: Store, db: Database, catalogs: Catalogs) -> None:
    kept = catalogs.cache / "nebius" / "20261121-7.zip"
    kept.parent.mkdir(parents=True)
    kept.write_bytes(b"PK half a file")
    assert refresh_prices(store, db, ("nebius",), catalogs).offers == {"nebius": 5}
    assert zipfile.is_zipfile(kept)


@pytest.mark.parametrize(
    ("end", "fault", "message"),
    [
        ("runpod/version", "missing", "Prices of runpod: .*/runpod/version cannot be fetched: "),
        ("runpod/20261121-7/catalog.zip", "missing", "cannot be fetched"),
        ("runpod/version", "error", "cannot be fetched"),
        ("runpod/version", "hang", "cannot be fetched: timed out"),
        ("runpod/version", "html", "is no version"),
        ("catalog.zip", "hang", "cannot be fetched: timed out"),
        ("catalog.zip", "cut", "cannot be fetched|instead of"),
        ("catalog.zip", "html", "the catalogue is broken"),
    ],
)
def test_a_server_that_misbehaves_changes_nothing(
    store: Store, db: Database, catalogs: Catalogs, server: CatalogServer, end: str, fault: str, message: str
) -> None:
    refresh_prices(store, db, ("nebius", "runpod"), catalogs)
    before = store.offers()
    for provider in ("nebius", "runpod"):
        server.publish(provider, catalog(NEBIUS if provider == "nebius" else RUNPOD), version="20261122-1")
    server.faults[end.replace("20261121-7", "20261122-1")] = fault
    with pytest.raises(PricesError, match=message) as caught:
        refresh_prices(store, db, ("nebius", "runpod"), catalogs)
    assert "the old prices stand" in str(caught.value) and len(str(caught.value).splitlines()) <= 3
    assert store.offers() == before and len(store.snapshots()) == 1


def test_a_server_that_never_ends_is_left(
    store: Store, db: Database, catalogs: Catalogs, server: CatalogServer
) -> None:
    """Each byte comes within the timeout, the whole file never does."""
    server.faults["catalog.zip"] = "drip"
    started = time.monotonic()
    with pytest.raises(PricesError, match="it sends too slowly"):
        refresh_prices(store, db, ("nebius",), replace(catalogs, deadline_s=0.3))
    assert time.monotonic() - started < 30 and store.snapshots() == ()


def test_a_catalogue_that_unpacks_without_end_is_refused(
    store: Store, db: Database, catalogs: Catalogs, server: CatalogServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("hardware_db.price_refresh.MAX_BYTES", 10_000)
    bomb = io.BytesIO()
    with zipfile.ZipFile(bomb, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("nebius.csv", catalog(NEBIUS) + "0" * 1_000_000)
    server.publish("nebius", "")
    server.files["/v3/nebius/20261121-7/catalog.zip"] = bomb.getvalue()
    with pytest.raises(PricesError, match="unpacks to more than"):
        refresh_prices(store, db, ("nebius",), catalogs)
    assert store.snapshots() == ()


def test_no_network_at_all_changes_nothing(store: Store, db: Database, tmp_path: Path) -> None:
    with pytest.raises(PricesError, match="refused"):
        refresh_prices(store, db, ("nebius",), Catalogs("http://127.0.0.1:1/v3", tmp_path, timeout_s=0.5))
    assert store.snapshots() == ()


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (zipped("other", "a"), "the catalogue is broken"),
        (zipped("runpod", "a,b\n1,2\n"), "lacks the columns"),
        (zipped("runpod", catalog([])), "the catalogue is empty"),
        (b"", "the catalogue is broken"),
    ],
)
def test_a_catalogue_of_another_shape_changes_nothing(
    store: Store, db: Database, catalogs: Catalogs, server: CatalogServer, content: bytes, message: str
) -> None:
    server.files["/v3/runpod/20261121-7/catalog.zip"] = content
    with pytest.raises(PricesError, match=message):
        refresh_prices(store, db, ("nebius", "runpod"), catalogs)
    assert store.snapshots() == ()


def test_half_of_the_rows_gone_is_not_believed(
    store: Store, db: Database, catalogs: Catalogs, server: CatalogServer
) -> None:
    refresh_prices(store, db, ("runpod",), catalogs)
    server.publish("runpod", catalog(RUNPOD[:3]), version="20261122-1")
    with pytest.raises(PricesError, match="runpod has 3 prices, before it had 8"):
        refresh_prices(store, db, ("runpod",), catalogs)
    assert len(store.offers()) == 8


def test_the_published_table_counts_as_before(store: Store, catalogs: Catalogs, server: CatalogServer) -> None:
    assert len(load().offers(provider="nebius")) >= 6
    server.publish("nebius", catalog(NEBIUS[:2]))
    with pytest.raises(PricesError, match="before it had"):
        refresh_prices(store, load(), ("nebius",), catalogs)


def test_a_full_disk_changes_nothing(
    store: Store, db: Database, catalogs: Catalogs, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(descriptor: int) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("os.fsync", full)
    with pytest.raises(PricesError, match="No space left on device"):
        refresh_prices(store, db, ("nebius",), catalogs)
    assert store.snapshots() == () and list(catalogs.cache.rglob("*zip*")) == []


REFRESH = """
import sys
from pathlib import Path
from hardware_db import Database, load
from hardware_db.price_refresh import Catalogs, refresh_prices
from hardware_db.store import open_store
url, cache, store = sys.argv[1:]
database = Database(load().devices_by_id, own_offers=())
refresh_prices(open_store(store), database, ("nebius", "runpod"), Catalogs(url, Path(cache)))
"""


@pytest.mark.parametrize(("requests", "later_s"), [(1, 0.0), (2, 0.0), (4, 0.0), (4, 0.01), (4, 0.05)])
def test_a_refresh_that_is_killed_leaves_old_prices_or_new_ones(
    requests: int, later_s: float, store: Store, db: Database, catalogs: Catalogs, server: CatalogServer
) -> None:
    """SIGKILL while a version, an archive or the store is being asked; the next refresh finds nothing broken."""
    refresh_prices(store, db, ("nebius", "runpod"), catalogs)
    before = set(store.offers())
    dearer = [row.replace(",0.86,", ",0.99,") for row in RUNPOD]
    server.publish("runpod", catalog(dearer), version="20261122-1")
    server.publish("nebius", catalog(NEBIUS), version="20261122-1")
    server.asked.clear()
    place = str(store.engine.url)
    victim = subprocess.Popen([sys.executable, "-c", REFRESH, server.url, str(catalogs.cache), place])
    deadline = time.monotonic() + 60
    while len(server.asked) < requests and victim.poll() is None and time.monotonic() < deadline:
        time.sleep(0.001)
    assert len(server.asked) >= requests, "the refresh never got that far"
    time.sleep(later_s)
    victim.kill()
    victim.wait(timeout=30)
    left = {offer.usd_per_hour for offer in store.offers() if offer.provider == "runpod"}
    assert set(store.offers()) == before or left == {0.99}, "half of a catalogue"
    refresh_prices(store, db, ("nebius", "runpod"), catalogs)
    assert {offer.usd_per_hour for offer in store.offers() if offer.provider == "runpod"} == {0.99}
    assert len(store.offers()) == 13


def test_a_provider_without_a_catalogue_is_named(store: Store, db: Database, catalogs: Catalogs) -> None:
    with pytest.raises(PricesError, match="No public catalogue of 'acme'"):
        refresh_prices(store, db, ("acme",), catalogs)


@pytest.mark.parametrize(
    ("row", "reason"),
    [
        ("x,eu,0,8,64,1,H100,80,False,,nvidia,", "no price"),
        ("x,eu,-1,8,64,1,H100,80,False,,nvidia,", "no price"),
        ("x,eu,2.5,8,64,1,H1000,80,False,,nvidia,", "unknown accelerator H1000 80 GB"),
        ("x,eu,2.5,8,64,1,A10,23,False,,nvidia,", "unknown accelerator A10 23 GB"),
        ("x,eu,2.5,4,64,0,,,False,,,", "under 8 vCPUs"),
        ("x,eu,2.5,16,64,0,,,False,,,", "processor not determined by the machine type"),
        ("v6e-8,us-east5,700.0,180,720,1,v6e,0,False,,google,", "placeholder price"),
        ("x,eu,cheap,8,64,1,H100,80,False,,nvidia,", "unreadable: could not convert string to float: 'cheap'"),
    ],
)
def test_what_no_table_row_covers_is_left_out_with_its_reason(row: str, reason: str) -> None:
    (found,) = read_catalog("gcp", catalog([row]), date.today(), "test")
    assert isinstance(found, LeftOut) and found.reason == reason


def test_prices_that_cannot_be_true_are_counted_and_left_out(
    store: Store, db: Database, catalogs: Catalogs, server: CatalogServer
) -> None:
    bad = ["h100-month,eu-north1,2200,8,64,1,H100,80,False,,nvidia,", NEBIUS[-1].replace("10.0", "99.0")]
    server.publish("nebius", catalog([*NEBIUS[:-1], *bad]))
    result = refresh_prices(store, db, ("nebius",), catalogs)
    assert result.offers == {"nebius": 4}
    assert result.left_out == {"impossible price or count": 1, "spot not below on demand": 1}


LIST = """provider,instance,region,device,device_count,pricing,usd_per_hour,as_of,memory_gib,cores,note
own,rack-1,berlin,H100 SXM,8,on-demand,12.5,2026-11-01,2048,,our own machines
own,node-3,berlin,EPYC 9654,1,on_demand,0.9,2026-11-01,384,48,
"""


@pytest.fixture
def price_list(tmp_path: Path) -> Path:
    path = tmp_path / "prices.csv"
    path.write_text(LIST)
    return path


def test_an_own_price_list_goes_into_the_store(price_list: Path, store: Store, db: Database) -> None:
    assert import_prices(price_list, store, db).offers == 2
    gpu, cpu = store.offers()
    assert (gpu.device, gpu.device_count, gpu.pricing, gpu.usd_per_hour) == ("h100-sxm", 8, "on_demand", 12.5)
    assert (cpu.device, cpu.cores, cpu.memory_bytes) == ("epyc-9654", 48, 384 * 2**30)


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        ("12.5", "free", "line 2: usd_per_hour is 'free', not a number. Try 12.50"),
        ("12.5", "0", "line 2: usd_per_hour is '0'; it must be above 0"),
        ("12.5", "90000", "USD per device hour is outside"),
        ("H100 SXM", "h100", "line 2: device: 'h100' is 3 devices"),
        ("H100 SXM", "H1000", "line 2: device: No hardware 'H1000'"),
        ("2026-11-01", "yesterday", "line 2: as_of is 'yesterday', not a date. Try 2026-11-01"),
        ("on-demand", "cheap", "line 2: pricing is 'cheap', none of on_demand, spot"),
        (",48,", ",,", "states its cores"),
        ("usd_per_hour", "usd", "it lacks the columns usd_per_hour\n  usd is no column"),
        ("our own machines", "our,own,machines", "surplus cells"),
    ],
)
def test_each_fault_of_a_price_list_is_named(
    price_list: Path, store: Store, db: Database, old: str, new: str, message: str
) -> None:
    price_list.write_text(LIST.replace(old, new, 1))
    with pytest.raises(DataError, match=message) as caught:
        import_prices(price_list, store, db)
    assert len(str(caught.value).splitlines()) <= 3
    assert store.snapshots() == ()


def test_an_empty_or_missing_price_list_is_a_mistake(tmp_path: Path, db: Database) -> None:
    with pytest.raises(DataError, match="cannot be read"):
        read_price_list(tmp_path / "none.csv", db)
    (tmp_path / "empty.csv").write_text("provider,instance\n")
    with pytest.raises(DataError, match=r"has no rows\. Columns: provider"):
        read_price_list(tmp_path / "empty.csv", db)


def test_history_spans_published_prices_and_snapshots(store: Store, catalogs: Catalogs, db: Database) -> None:
    refresh_prices(store, db, ("nebius",), catalogs)
    frame = price_history(load(), "H100 SXM", store)
    assert list(frame.columns) == [
        "as_of", "provider", "pricing", "offers", "lowest_usd", "median_usd", "highest_usd",
    ]  # fmt: skip
    assert frame["as_of"].is_monotonic_increasing and frame["as_of"].nunique() >= 4
    assert frame["as_of"].iloc[-1] == date.today()
    today = frame[(frame.as_of == date.today()) & (frame.pricing == "on_demand")].iloc[0]
    assert (today.offers, today.median_usd) == (4, 2.95)
    refresh_prices(store, db, ("nebius",), catalogs)
    assert price_history(load(), "H100 SXM", store).equals(frame)
