"""Fetch today's prices; on any failure the old ones stand.

The gpuhunt project publishes one catalogue a provider, versioned, hourly, without a key:
`{url}/{provider}/version` names a version, `{url}/{provider}/{version}/catalog.zip` holds `{provider}.csv`. Its own
loader has no timeout and keeps nothing on disk, so the few lines that read the files are ours. A version that was
fetched is kept on disk and not fetched again. Rows become offers (`price_catalog`), are checked as a whole, and go into
the store in one transaction: all providers asked for, or nothing.
"""

from __future__ import annotations

import difflib
import os
import time
import urllib.error
import urllib.request
import zipfile
from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from datetime import date
from io import BytesIO
from pathlib import Path
from typing import IO, TYPE_CHECKING

from platformdirs import user_cache_path

from hardware_db.checks import check_offers
from hardware_db.database import Database
from hardware_db.errors import DataError, PricesError
from hardware_db.price_catalog import LeftOut, read_catalog
from hardware_db.records import Offer
from hardware_db.store_transfer import write_whole

if TYPE_CHECKING:
    from hardware_db.store import Snapshot, Store

CATALOG_URL = "https://dstack-gpu-pricing.s3.eu-west-1.amazonaws.com/v3"
#: Providers whose catalogues are published without a key.
PROVIDERS = ("aws", "azure", "gcp", "lambdalabs", "nebius", "oci", "runpod", "verda", "cloudrift")
#: Names of providers here and in our tables, where they differ.
OUR_NAMES: Mapping[str, str] = {"lambdalabs": "lambda"}
TIMEOUT_S = 20.0
#: A server that sends a little now and then keeps nobody waiting longer than this for one file.
DEADLINE_S = 120.0
#: No catalogue is near this; a server that sends more is broken.
MAX_BYTES = 200_000_000


@dataclass(frozen=True)
class Refresh:
    """What a refresh brought: offers by provider, and how many rows were left out for which reason."""

    snapshot: Snapshot
    offers: Mapping[str, int]
    left_out: Mapping[str, int]


@dataclass(frozen=True)
class Catalogs:
    """Where catalogues come from and where fetched ones are kept."""

    url: str
    cache: Path
    timeout_s: float = TIMEOUT_S
    deadline_s: float = DEADLINE_S

    @classmethod
    def default(cls) -> Catalogs:
        """Return the public place, or the one that `FLOPCAST_PRICES_URL` names."""
        return cls(
            os.environ.get("FLOPCAST_PRICES_URL", CATALOG_URL).rstrip("/"), user_cache_path("flopcast") / "prices"
        )

    def version(self, provider: str) -> str:
        """Return the name of a provider's newest catalogue."""
        version = self._get(f"{self.url}/{provider}/version").decode("ascii", "replace").strip()
        if not version or not all(c.isalnum() or c in "-_." for c in version):
            raise PricesError(f"{self.url}/{provider}/version is no version: {version[:40]!r}")
        return version

    def text(self, provider: str, version: str) -> str:
        """Return a catalogue, from disk where that version is there and sound."""
        kept = self.cache / provider / f"{version}.zip"
        if kept.exists():
            try:
                return _unzipped(provider, kept.read_bytes())
            except PricesError:
                kept.unlink()
        content = self._get(f"{self.url}/{provider}/{version}/catalog.zip")
        text = _unzipped(provider, content)
        write_whole(kept, content)
        return text

    def _get(self, address: str) -> bytes:
        try:
            with urllib.request.urlopen(address, timeout=self.timeout_s) as answer:
                content = _read_all(answer, time.monotonic() + self.deadline_s)
                promised = answer.headers.get("Content-Length")
        except (OSError, ValueError, urllib.error.URLError) as error:
            raise PricesError(f"{address} cannot be fetched: {getattr(error, 'reason', error)}") from error
        if len(content) > MAX_BYTES or (promised and len(content) != int(promised)):
            raise PricesError(f"{address} sent {len(content)} bytes instead of {promised or 'a catalogue'}")
        return content


def refresh_prices(
    store: Store, database: Database, providers: Iterable[str] = PROVIDERS, catalogs: Catalogs | None = None
) -> Refresh:
    """Fetch, check and store the prices of these providers.

    Raises
    ------
    PricesError
        Anything went wrong with any of them: no network, a broken file, rows that cannot be true, fewer than half the
        rows of before. Nothing was changed.
    """
    source = catalogs or Catalogs.default()
    offers: list[Offer] = []
    left_out: Counter[str] = Counter()
    for provider in dict.fromkeys(catalogue_of(name) for name in providers):
        for row in _fetched(source, provider):
            if isinstance(row, LeftOut):
                left_out[row.reason] += 1
            else:
                offers.append(row)
    sound = believable(offers, before=_current(database, store), database=database, left_out=left_out)
    snapshot = store.save_offers(sound, source=f"catalogues at {source.url}", complete=True)
    return Refresh(snapshot, Counter(offer.provider for offer in sound), left_out)


def believable(
    offers: Iterable[Offer], *, before: Iterable[Offer], database: Database, left_out: Counter[str]
) -> list[Offer]:
    """Return the offers that pass the checks; the others are counted in `left_out`.

    Raises
    ------
    PricesError
        A provider has fewer than half the rows of before: more likely its catalogue is broken than its machines gone.
    """
    sound: dict[tuple[str, ...], Offer] = {}
    for offer in offers:
        if check_offers([offer], database.devices_by_id):
            left_out["impossible price or count"] += 1
        else:
            key: tuple[str, ...] = (offer.provider, offer.instance, offer.region, offer.pricing)
            sound[key] = min(offer, sound.get(key, offer), key=lambda known: known.usd_per_hour)
    for dear in [key for key, offer in sound.items() if _dear_spot(offer, sound)]:
        left_out["spot not below on demand"] += 1
        del sound[dear]
    _enough(list(sound.values()), before)
    return list(sound.values())


def _dear_spot(offer: Offer, sound: Mapping[tuple[str, ...], Offer]) -> bool:
    fixed = sound.get((offer.provider, offer.instance, offer.region, "on_demand"))
    return offer.pricing == "spot" and fixed is not None and offer.usd_per_hour >= fixed.usd_per_hour


def _enough(offers: list[Offer], before: Iterable[Offer]) -> None:
    now = Counter(offer.provider for offer in offers)
    old = Counter(offer.provider for offer in before)
    for provider, count in old.items():
        if provider in now and 2 * now[provider] < count:
            raise PricesError(f"{provider} has {now[provider]} prices, before it had {count}. The old ones stand")
    if not offers:
        raise PricesError("No price could be believed. The old ones stand")


def catalogue_of(provider: str) -> str:
    """Return the name that a provider's catalogue has, by that name or ours ("lambda" is "lambdalabs").

    Raises
    ------
    PricesError
        There is no public catalogue of it.
    """
    wanted = provider.casefold()
    name = next((theirs for theirs, ours in OUR_NAMES.items() if ours == wanted), wanted)
    if name not in PROVIDERS:
        close = difflib.get_close_matches(name, PROVIDERS, n=2)
        hint = f"Did you mean {', '.join(close)}? " if close else ""
        raise PricesError(f"No public catalogue of {provider!r}. {hint}There are: {', '.join(PROVIDERS)}")
    return name


def _fetched(source: Catalogs, provider: str) -> list[Offer | LeftOut]:
    try:
        version = source.version(provider)
        text = source.text(provider, version)
        name = OUR_NAMES.get(provider, provider)
        rows = list(read_catalog(provider, text, date.today(), f"gpuhunt catalogue {provider} {version}"))
    except (PricesError, DataError) as error:
        raise PricesError(f"Prices of {provider}: {error}\nNothing was changed; the old prices stand") from error
    if not rows:
        raise PricesError(f"Prices of {provider}: the catalogue is empty\nNothing was changed; the old prices stand")
    return [row if isinstance(row, LeftOut) else _renamed(row, name) for row in rows]


def _renamed(offer: Offer, name: str) -> Offer:
    return offer if offer.provider == name else replace(offer, provider=name)


def _current(database: Database, store: Store) -> list[Offer]:
    stored = store.catalogues()
    providers = {offer.provider for offer in stored}
    return [*stored, *(offer for offer in database.offers() if offer.provider not in providers)]


def _read_all(answer: IO[bytes], deadline: float) -> bytes:
    """Read an answer piece by piece, at most `MAX_BYTES` + 1 of it and not past the deadline."""
    pieces: list[bytes] = []
    size = 0
    while size <= MAX_BYTES and (piece := answer.read1(65536)):  # type: ignore[attr-defined]  # http.client has it
        pieces.append(piece)
        size += len(piece)
        if time.monotonic() > deadline:
            raise TimeoutError("it sends too slowly")
    return b"".join(pieces)


def _unzipped(provider: str, content: bytes) -> str:
    try:
        with zipfile.ZipFile(BytesIO(content)) as archive, archive.open(f"{provider}.csv") as file:
            text = file.read(MAX_BYTES + 1)
            if len(text) > MAX_BYTES:
                raise PricesError(f"the catalogue unpacks to more than {MAX_BYTES:,} bytes")
            return text.decode("utf-8")
    except (zipfile.BadZipFile, KeyError, UnicodeDecodeError, EOFError, OSError) as error:
        raise PricesError(f"the catalogue is broken: {error}") from error
