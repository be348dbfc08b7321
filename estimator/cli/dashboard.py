"""`flopcast dashboard`: the same answers in the browser."""

from __future__ import annotations

import click

from hardware_db.errors import MissingExtra, UsageError

HOST = "127.0.0.1"
FIRST_PORT = 8501
MOST_TRIED = 100
TERMINATED = 143
SETTINGS = {
    "server.address": HOST,
    "server.showEmailPrompt": "false",
    "browser.gatherUsageStats": "false",
}
"""Safe and quiet by default: reachable from this machine only, no questions, no telemetry."""


@click.command("dashboard")
@click.option("--port", type=click.IntRange(1, 65535), help="Port to serve on; default: 8501, or the next free one.")
@click.option("--no-browser", is_flag=True, help="Serve only; do not open a browser.")
def command(port: int | None, no_browser: bool) -> int:
    """Serve the dashboard on this machine and open it in the browser.

    It listens on 127.0.0.1 only; Ctrl-C stops it.
    """
    import signal
    import subprocess
    import sys

    # Ending this process must end the server too: only an exception makes `call` do so.
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(TERMINATED))
    return subprocess.call(server_command(port, browser=not no_browser))


def server_command(port: int | None, *, browser: bool = True) -> list[str]:
    """Return the command that starts the dashboard's server.

    Raises
    ------
    MissingExtra
        Where streamlit or plotly is not installed.
    UsageError
        Where the port is taken or not ours to take.
    """
    import sys
    from importlib.util import find_spec

    missing = [name for name in ("streamlit", "plotly") if find_spec(name) is None]
    if missing:
        raise MissingExtra(f"flopcast dashboard needs {' and '.join(missing)}: pip install 'flopcast[dashboard]'")
    settings = SETTINGS | {"server.port": str(_free(port))} | ({} if browser else {"server.headless": "true"})
    flags = [f"--{name}={value}" for name, value in settings.items()]
    return [sys.executable, "-m", "dashboard.serving", *flags]


def _free(port: int | None) -> int:
    """Return the port asked for if it can be served on, or the first from 8501 on that can."""
    if port is not None:
        if reason := _taken(port):
            raise UsageError(f"--port {port} cannot be used: {reason}. Give another, or none for the next free one")
        return port
    tried = range(FIRST_PORT, FIRST_PORT + MOST_TRIED)
    found = next((each for each in tried if not _taken(each)), None)
    if found is None:
        raise UsageError(f"No port from {tried[0]} to {tried[-1]} is free. Choose one: --port N")
    return found


def _taken(port: int) -> str:
    """Return why a port cannot be listened on, "" where it can."""
    import os
    import socket

    with socket.socket() as probe:
        if os.name == "posix":  # as the server does; elsewhere it would let two servers share a port
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((HOST, port))
        except OSError as error:
            return (error.strerror or str(error)).lower()
    return ""
