"""What the store and price tests talk to: a catalogue server that misbehaves on request, a PostgreSQL on loopback."""

import io
import os
import shutil
import signal
import subprocess
import threading
import time
import zipfile
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import date
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

from hardware_db import Offer

OFFER = Offer(
    provider="acme", instance="big-8", region="eu-1", device="h100-sxm", device_count=8, vcpus=128.0, cores=None,
    memory_bytes=2**40, pricing="on_demand", usd_per_hour=16.0, as_of=date(2026, 11, 20), source="quote 17", kind="vm",
)  # fmt: skip
HEADER = "instance_name,location,price,cpu,memory,gpu_count,gpu_name,gpu_memory,spot,disk_size,gpu_vendor,flags"


def catalog(rows: list[str]) -> str:
    return "\n".join([HEADER, *rows]) + "\n"


def zipped(provider: str, text: str) -> bytes:
    content = io.BytesIO()
    with zipfile.ZipFile(content, "w") as archive:
        archive.writestr(f"{provider}.csv", text)
    return content.getvalue()


class CatalogServer:
    """Serves `{provider}/version` and `{provider}/{version}/catalog.zip`; `faults` says how it misbehaves.

    Faults by path ending: "missing" (404), "error" (500), "hang", "cut" (half the promised bytes), "drip" (a byte now
    and then), "html".
    """

    def __init__(self) -> None:
        self.files: dict[str, bytes] = {}
        self.faults: dict[str, str] = {}
        self.asked: list[str] = []

    def publish(self, provider: str, text: str, version: str = "20261121-7") -> None:
        self.files[f"/v3/{provider}/version"] = version.encode()
        self.files[f"/v3/{provider}/{version}/catalog.zip"] = zipped(provider, text)

    @contextmanager
    def running(self) -> Iterator[str]:
        server = ThreadingHTTPServer(("127.0.0.1", 0), self._handler())
        server.daemon_threads = True
        thread = threading.Thread(target=server.serve_forever, daemon=True)
        thread.start()
        try:
            yield f"http://127.0.0.1:{server.server_address[1]}/v3"
        finally:
            server.shutdown()
            server.server_close()

    def _handler(self) -> type[BaseHTTPRequestHandler]:
        outer = self

        class Handler(BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                outer.asked.append(self.path)
                fault = next((fault for end, fault in outer.faults.items() if self.path.endswith(end)), "")
                content = outer.files.get(self.path)
                if fault == "missing" or content is None:
                    self.send_error(404)
                elif fault == "error":
                    self.send_error(500)
                elif fault == "hang":
                    time.sleep(3)
                elif fault == "drip":
                    self._drip(content)
                elif fault == "html":
                    self._send(b"<html>Sign in to the network</html>", len(b"<html>Sign in to the network</html>"))
                elif fault == "cut":
                    self._send(content[: len(content) // 2], len(content))
                else:
                    self._send(content, len(content))

            def _drip(self, content: bytes) -> None:
                self.send_response(200)
                self.end_headers()
                try:
                    for _ in range(600):  # a minute: longer than any test waits
                        self.wfile.write(content[:1])
                        self.wfile.flush()
                        time.sleep(0.1)
                except OSError:
                    pass

            def _send(self, content: bytes, promised: int) -> None:
                self.send_response(200)
                self.send_header("Content-Length", str(promised))
                self.end_headers()
                self.wfile.write(content)

            def log_message(self, format: str, *args: object) -> None:
                pass

        return Handler


def postgres_tool(name: str) -> str | None:
    """Return a PostgreSQL program: on the path, or where Debian puts it."""
    places = sorted(Path("/usr/lib/postgresql").glob(f"*/bin/{name}"), reverse=True)
    return str(places[0]) if places else shutil.which(name)


@contextmanager
def running_postgres(folder: Path) -> Iterator[str]:
    """Start a PostgreSQL of our own on a free loopback port; it refuses to run as root, so it runs as nobody."""
    initdb, server = postgres_tool("initdb"), postgres_tool("postgres")
    assert initdb and server
    data = folder / "data"
    folder.chmod(0o777)
    as_user = ["setpriv", "--reuid=nobody", "--regid=nogroup", "--clear-groups"] if os.geteuid() == 0 else []
    port = _free_port()
    environment = {**os.environ, "LC_ALL": "C", "TZ": "UTC"}
    subprocess.run(
        [*as_user, initdb, "-D", str(data), "-U", "flopcast", "-A", "trust", "-E", "UTF8", "--no-sync"],
        check=True, capture_output=True, env=environment, cwd="/",
    )  # fmt: skip
    options = ["-D", str(data), "-p", str(port), "-h", "127.0.0.1", "-k", str(folder), "-F"]
    process = subprocess.Popen(
        [*as_user, server, *options], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, env=environment, cwd="/"
    )
    try:
        _wait_for(port)
        yield f"postgresql://flopcast@127.0.0.1:{port}/postgres"
    finally:
        # SIGINT is PostgreSQL's fast shutdown; SIGTERM would wait until every client has left.
        process.send_signal(signal.SIGINT)
        process.wait(timeout=60)


def _free_port() -> int:
    import socket

    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port


def _wait_for(port: int) -> None:
    import socket

    for _ in range(100):
        try:
            socket.create_connection(("127.0.0.1", port), timeout=1).close()
            time.sleep(0.5)
            return
        except OSError:
            time.sleep(0.1)
    raise RuntimeError("PostgreSQL did not start")
