"""The server: `python -m dashboard.serving --server.port=8501 ...` takes Streamlit's flags.

While the server starts and a browser loads, a thread makes the answer to the question that every visitor sees first.
"""

from __future__ import annotations

import sys
import threading
from collections.abc import Sequence
from pathlib import Path
from typing import Final

APP: Final = Path(__file__).parent / "app.py"
INSTALLED: Final = (
    "--server.fileWatcherType=none",
    "--runner.magicEnabled=false",
    "--runner.postScriptGC=false",
    "--global.disableWidgetStateDuplicationWarning=true",
)
"""What is installed does not change while it is served: no source is watched or rewritten after each reaction.

Nor is all memory searched for garbage after each: what is kept for all visitors would be looked through every time, and
Python's own collector runs when there is something to collect. A box whose default a model without tokens replaces
("10B" of them by "100M" samples) is meant so, and not worth a warning on the terminal.
"""


def main(flags: Sequence[str]) -> None:
    """Serve until the process is ended."""
    from streamlit.web.cli import main as streamlit

    threading.Thread(target=prepare, daemon=True).start()
    streamlit(["run", str(APP), *INSTALLED, *flags], prog_name="flopcast dashboard")


def prepare() -> None:
    """Import what pages need and work out the question that the sidebar begins with; they are kept."""
    from dashboard import charts, sidebar, table
    from dashboard.answers import estimates
    from dashboard.processes import Asked

    found = estimates(sidebar.FIRST)
    if not isinstance(found, Asked):
        table.table_frame(found)
        charts.step_parts({"compute": 1.0})


if __name__ == "__main__":
    main(sys.argv[1:])
