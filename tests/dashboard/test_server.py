"""The server as it runs: what is in its process, what it listens to, what strangers may send it."""

from __future__ import annotations

import asyncio
import io
import json
import sys
import urllib.request
import zipfile
from collections.abc import Iterator
from pathlib import Path

import psutil
import pytest

pytest.importorskip("streamlit")
pytest.importorskip("websockets")
sys.path.insert(0, str(Path(__file__).parent))

from conftest import Serving
from sessions import Session, finished, opened, put

from dashboard.reader import MOST_UNPACKED_BYTES

pytestmark = pytest.mark.xdist_group("browser")
PAGES = ("", "model", "compare", "roofline", "hardware", "accuracy")
RUN = "model=mnist-cnn&work=samples&amount=1M&precision=float32"
GIB = 2**30


def with_session(running: Serving, act) -> Session:
    async def visit() -> Session:
        session = await opened(running.address)
        await session.react(RUN)
        await act(session)
        await session.socket.close()
        return session

    return finished(visit())


def test_no_page_brings_torch_into_the_server(running: Serving) -> None:
    async def all_pages(session: Session) -> None:
        for page in PAGES:
            await session.react(RUN, page)

    assert with_session(running, all_pages).exceptions == 0
    if not Path("/proc").is_dir():
        pytest.skip("the libraries of a process are read from /proc")
    libraries = Path(f"/proc/{running.process.pid}/maps").read_text()
    assert "numpy" in libraries, "what is loaded is seen here"
    assert "libtorch" not in libraries


def test_it_listens_on_this_machine_alone_and_calls_nobody(running: Serving) -> None:
    connections = running.process.net_connections(kind="inet")
    listening = {each.laddr.ip for each in connections if each.status == psutil.CONN_LISTEN}
    assert listening == {"127.0.0.1"}
    assert {each.raddr.ip for each in connections if each.raddr} <= {"127.0.0.1"}


def test_two_gigabytes_are_refused_while_they_come(running: Serving) -> None:
    sent = 0

    def zeros() -> Iterator[bytes]:
        nonlocal sent
        while sent < 2 * GIB:
            sent += 2**20
            yield bytes(2**20)

    async def send(session: Session) -> None:
        place = await session.place("large.onnx")
        before = running.process.memory_info().rss
        status = await asyncio.to_thread(put, running.address, place.upload_url, "large.onnx", zeros())
        assert status in (413, 599)
        assert running.process.memory_info().rss - before < 200e6

    with_session(running, send)
    assert sent < GIB / 4, "the connection ends soon after the limit of 32 MiB"
    with urllib.request.urlopen(f"{running.address}/_stcore/health", timeout=30) as answer:
        assert answer.status == 200


def test_uploads_to_nobodys_session_are_refused(running: Serving) -> None:
    assert put(running.address, "/_stcore/upload_file/nobody/1", "x.json", [b"{}"]) in (400, 403, 599), "599: cut off"
    assert put(running.address, "/_stcore/upload_file/../../etc/1", "x.json", [b"{}"]) >= 400
    with urllib.request.urlopen(f"{running.address}/_stcore/health", timeout=30) as answer:
        assert answer.status == 200


def bomb() -> bytes:
    file = io.BytesIO()
    with zipfile.ZipFile(file, "w", zipfile.ZIP_DEFLATED) as archive, archive.open("zeros", "w") as member:
        for _ in range(MOST_UNPACKED_BYTES // 2**24 + 1):
            member.write(bytes(2**24))
    return file.getvalue()


def tricks() -> bytes:
    file = io.BytesIO()
    with zipfile.ZipFile(file, "w") as archive:
        archive.writestr("../../../../tmp/flopcast-was-here", "x")
    return file.getvalue()


HOSTILE = {
    "config.json": (json.dumps({"model_type": "llama", "num_hidden_layers": 10**9}).encode(), "beyond any model"),
    "../../etc/nan.json": (b'{"schema": 1, "model": NaN, "flops": Infinity}', "is no JSON"),
    "bomb.pt2": (bomb(), "unpacks to"),
    "tricks.pt2": (tricks(), "points out of the archive"),
}


def test_hostile_uploads_get_a_sentence_and_the_server_lives_on(running: Serving) -> None:
    async def attack(session: Session) -> None:
        for name, (data, said) in HOSTILE.items():
            messages = await session.upload(RUN, name, data)
            assert any(said in text for text in messages), (name, messages)
            assert not any("Traceback" in text for text in messages)

    assert with_session(running, attack).exceptions == 0
    assert running.process.is_running()
    assert not Path("/tmp/flopcast-was-here").exists()
