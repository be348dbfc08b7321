"""Twenty people at once, over real websockets: every reaction under two seconds, the server under two gigabytes."""

from __future__ import annotations

import asyncio
import os
import random
import sys
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest

pytest.importorskip("streamlit")
pytest.importorskip("websockets")
sys.path.insert(0, str(Path(__file__).parent))

from conftest import Serving, serving
from sessions import Session, finished, opened

SESSIONS = 20
REACTIONS = 5
THINKS_S = (1.0, 9.0)
"""Least and most seconds between what one person does and what they do next."""
MODELS = ("gpt2", "resnet50", "bert-base", "llama-3.1-8b")
PAGES = ("", "compare", "roofline", "hardware", "accuracy")
MOST_S = 2.0
MOST_BYTES = 2e9

pytestmark = [pytest.mark.slow, pytest.mark.xdist_group("browser")]


@pytest.fixture(scope="module")
def own_server() -> Iterator[Serving]:
    with serving() as found:
        yield found


def question(chance: random.Random) -> tuple[str, str]:
    model = chance.choice(MODELS)
    kind = "samples" if model == "resnet50" else "tokens"
    query = f"model={model}&work={kind}&amount={chance.randrange(1, 500)}M&precision=amp_bfloat16"
    return query, chance.choice(PAGES)


async def visit(server: str, number: int) -> tuple[list[float], int]:
    chance = random.Random(number)
    session = await opened(server)
    seconds = []
    for _ in range(REACTIONS):
        await asyncio.sleep(chance.uniform(*THINKS_S))
        seconds.append(await session.react(*question(chance)))
    await session.socket.close()
    return seconds, session.exceptions


async def warm(server: str) -> None:
    session: Session = await opened(server)
    for model in MODELS:
        kind = "samples" if model == "resnet50" else "tokens"
        await session.react(f"model={model}&work={kind}&amount=1M&precision=amp_bfloat16")
    for page in PAGES:
        await session.react("model=gpt2", page)
    await session.socket.close()


async def all_visits(server: str) -> tuple[list[float], int]:
    await warm(server)
    visits = await asyncio.gather(*(visit(server, number) for number in range(SESSIONS)))
    return [each for seconds, _ in visits for each in seconds], sum(wrong for _, wrong in visits)


def test_twenty_sessions(own_server: Serving) -> None:
    server, process = own_server.address, own_server.process
    if os.getloadavg()[0] > 1.5 * (os.cpu_count() or 1):
        pytest.skip(f"the machine is busy (load {os.getloadavg()[0]:.1f}); figures would be of the others")
    seconds, wrong = finished(all_visits(server))
    memory = sum(each.memory_info().rss for each in [process, *process.children(recursive=True)])
    median, most = np.quantile(seconds, [0.5, 0.95])
    print(
        f"\n{SESSIONS} sessions, {len(seconds)} reactions: median {median:.2f} s, 95th percentile {most:.2f} s, "
        f"longest {max(seconds):.2f} s; {memory / 1e9:.2f} GB; {process.cpu_times().user:.0f} processor seconds"
    )
    assert wrong == 0
    assert memory < MOST_BYTES
    assert most < MOST_S
