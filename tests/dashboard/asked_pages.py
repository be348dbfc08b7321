"""Pages of the dashboard as tests ask them, without a browser, and what can be read off them."""

from __future__ import annotations

import json
import shlex
from pathlib import Path

from click.testing import CliRunner
from streamlit.testing.v1 import AppTest

from dashboard import uploads
from estimator.cli import main
from profiles.recall import known
from profiles.request import ProfileRequest

APP = str(Path(__file__).parents[2] / "dashboard" / "app.py")
MNIST = ProfileRequest(precision="float32")
KEYS = {"TPU": "tpu", "memory bandwidth": "bandwidth", "bytes moved": "bytes", "model family": "family"}
"""What a page shows, and what it means."""


def opened(**query: str) -> AppTest:
    page = AppTest.from_file(APP, default_timeout=60)
    for name, value in query.items():
        page.query_params[name] = value
    return page.run()


def compared(**query: str) -> AppTest:
    return opened(**query).switch_page("views/compare.py").run()


def table_of(page: AppTest):
    return page.dataframe[0].value


def chart_of(page: AppTest, index: int = 0) -> dict[str, object]:
    return json.loads(page.get("plotly_chart")[index].proto.spec)


def command_of(page: AppTest) -> list[str]:
    return shlex.split(next(block.value for block in page.code if block.value.startswith("flopcast ")))


def answered_by_command(words: list[str]) -> list[dict]:
    done = CliRunner().invoke(main, [*words[1:], "--json"])
    assert done.exit_code in (0, 1), done.output
    return json.loads(done.stdout)["results"]


def uploaded(model: str = "mnist-cnn", name: str = "prof.json") -> str:
    profile = known(model, MNIST)
    return uploads.accept(name, profile.to_json().encode()).label
