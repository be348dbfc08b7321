"""`flopcast dashboard`: the same answers in the browser."""

from __future__ import annotations

import click

from estimator.cli.output import Output, output_options
from hardware_db.errors import MissingExtra

SETTINGS = {
    "server.address": "127.0.0.1",
    "server.showEmailPrompt": "false",
    "browser.gatherUsageStats": "false",
}
"""Safe and quiet by default: reachable from this machine only, no questions, no telemetry."""


@click.command("dashboard")
@click.option("--port", type=click.IntRange(1, 65535), help="Port to serve on (default: 8501, or the next free one).")
@output_options
def command(port: int | None, output: Output) -> int:
    """Serve the dashboard on this machine and open it in the browser.

    It listens on 127.0.0.1 only; Ctrl-C stops it.
    """
    import subprocess

    return subprocess.call(server_command(port))


def server_command(port: int | None) -> list[str]:
    """Return the command that starts the dashboard's server.

    Raises
    ------
    MissingExtra
        Where streamlit or plotly is not installed.
    """
    import sys
    from importlib.resources import files
    from importlib.util import find_spec

    missing = [name for name in ("streamlit", "plotly") if find_spec(name) is None]
    if missing:
        raise MissingExtra(f"flopcast dashboard needs {' and '.join(missing)}: pip install 'flopcast[dashboard]'")
    settings = SETTINGS | ({"server.port": str(port)} if port else {})
    flags = [f"--{name}={value}" for name, value in settings.items()]
    return [sys.executable, "-m", "streamlit", "run", str(files("dashboard") / "app.py"), *flags]
