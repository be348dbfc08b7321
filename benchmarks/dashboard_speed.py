"""How fast the dashboard reacts, seen from a real headless Chromium.

python benchmarks/dashboard_speed.py

Prints, for the first load by a cold browser and for each kind of reaction, the seconds from the action until its result
is on the screen (median and longest of some), and the load of the machine, which decides how much they mean; and the
processor seconds that the server took (median), which mean the same on a busy machine. Needs playwright and a Chromium.
"""

from __future__ import annotations

import os
import shutil
import socket
import subprocess
import time
import urllib.request
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import partial
from statistics import median
from typing import Any

import psutil
from playwright.sync_api import sync_playwright

from estimator.cli.dashboard import server_command

FLAGS = ["--no-sandbox", "--disable-gpu", "--disable-dev-shm-usage", "--disable-background-networking"]
RUNS = 5
COLD_RUNS = 3
MOST_REACTION_S, MOST_COLD_S = 0.5, 5.0
COST = "[data-testid=stMetricValue]"
Act = Callable[[Any, int], None]
Times = list[tuple[float, float]]
"""Seconds until the result was on the screen, and processor seconds of the server."""


@contextmanager
def serving() -> Iterator[tuple[str, psutil.Process]]:
    """Start the server, wait until it answers, give its address and process, end it afterwards."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = int(probe.getsockname()[1])
    command = server_command(port, browser=False)
    process = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    address = f"http://127.0.0.1:{port}"
    try:
        for _ in range(600):
            try:
                urllib.request.urlopen(f"{address}/_stcore/health", timeout=1).close()
                break
            except OSError:
                time.sleep(0.1)
        yield address, psutil.Process(process.pid)
    finally:
        process.terminate()
        process.wait(timeout=20)


def changed(page: Any, act: Callable[[], None], what: str) -> None:
    """Act and wait until what the script returns for the page is another."""
    before = page.evaluate(what)
    act()
    page.wait_for_function(f"before => {{ const now = {what}; return now && now !== before }}", arg=before)


def amount(page: Any, run: int) -> None:
    """Type another number of tokens."""
    box = page.get_by_role("textbox", name="How much")
    box.fill(f"{run + 2}B")
    changed(page, lambda: box.press("Enter"), f"document.querySelector('{COST}').innerText")


def model(page: Any, run: int) -> None:
    """Choose another model."""
    name = ("gpt2-medium", "bert-base", "gpt2", "gpt2-medium", "bert-base")[run]
    box = page.get_by_role("combobox", name="Model", exact=True)
    box.fill(name)
    changed(page, lambda: box.press("Enter"), f"document.querySelector('{COST}').innerText")


def every_offer(page: Any, _run: int) -> None:
    """Switch all offers on or off."""
    switch = page.get_by_role("switch", name="Every offer")
    heading = "[...document.querySelectorAll('h3')].map(h => h.innerText).find(t => t.includes('can run it'))"
    changed(page, page.locator("label").filter(has=switch).click, heading)


def budget(page: Any, run: int) -> None:
    """Type another budget on Compare."""
    box = page.get_by_role("textbox", name="Budget")
    box.fill(f"${20 + 10 * run}")
    heading = "[...document.querySelectorAll('h3')].map(h => h.innerText).find(t => t.includes('worth considering'))"
    changed(page, lambda: box.press("Enter"), heading)


def device(page: Any, run: int) -> None:
    """Choose another device on Roofline."""
    name = ("a100-sxm-80gb", "l4", "t4", "a10", "h200-sxm")[run]
    box = page.get_by_role("combobox", name="Device", exact=True)
    box.fill(name)
    box.press("Enter")
    page.get_by_role("figure", name=f"Operations of a step on the roofline of {name}").wait_for()


def quantity(page: Any, run: int) -> None:
    """Draw prices against another figure on Hardware."""
    name = ("memory", "arithmetic", "memory bandwidth", "memory", "arithmetic")[run]
    page.get_by_role("radio", name=name, exact=True).click()
    page.get_by_role("heading", name=f"is the cheapest {name}:").wait_for()


def unseen(page: Any, run: int) -> None:
    """Leave something else out on Accuracy."""
    name = ("device", "source", "model family", "device", "source")[run]
    heading = "[...document.querySelectorAll('h3')].map(h => h.innerText).find(t => t.startsWith('Half of'))"
    changed(page, page.get_by_role("radio", name=name, exact=True).click, heading)


REACTIONS: dict[str, tuple[str, Act]] = {
    "Estimate: another amount": ("/?model=gpt2", amount),
    "Estimate: another model": ("/?model=bert-large", model),
    "Estimate: every offer": ("/?model=gpt2", every_offer),
    "Compare: another budget": ("/compare?model=gpt2", budget),
    "Roofline: another device": ("/roofline?model=gpt2", device),
    "Hardware: another figure": ("/hardware", quantity),
    "Accuracy: left out": ("/accuracy", unseen),
}


def settled(page: Any) -> None:
    """Wait until the page has a chart and its script has ended."""
    page.locator(".js-plotly-plot").first.wait_for(state="attached", timeout=120_000)
    page.locator("[data-testid='stApp'][data-test-script-state='notRunning']").wait_for(timeout=120_000)


def timed(server: psutil.Process, act: Callable[[], object]) -> tuple[float, float]:
    """Return how long something took, and how long the server computed for it."""
    begun, before = time.perf_counter(), sum(server.cpu_times()[:2])
    act()
    return time.perf_counter() - begun, sum(server.cpu_times()[:2]) - before


def cold(chromium: Any, address: str, server: psutil.Process) -> Times:
    """Return the times until the first page of a browser without a cache has its chart."""
    times = []
    for _ in range(COLD_RUNS):
        context = chromium.new_context()
        page = context.new_page()
        page.set_default_timeout(120_000)

        def load(page: Any = page) -> None:
            page.goto(f"{address}/compare?model=gpt2")
            page.locator(".js-plotly-plot").first.wait_for(state="attached")

        times.append(timed(server, load))
        context.close()
    return times


def reactions(chromium: Any, address: str, server: psutil.Process, path: str, act: Act) -> Times:
    """Return the times of one kind of reaction."""
    page = chromium.new_context(viewport={"width": 1280, "height": 1700}).new_page()
    page.set_default_timeout(120_000)
    page.goto(address + path)
    settled(page)
    times = []
    for run in range(RUNS):
        page.wait_for_timeout(500)
        times.append(timed(server, partial(act, page, run)))
        page.locator("[data-testid='stApp'][data-test-script-state='notRunning']").wait_for()
    page.context.close()
    return times


def row(name: str, times: Times, most: float) -> None:
    """Print one line."""
    seen, computed = zip(*times, strict=True)
    print(f"{name:<28} {median(seen):>8.2f} {max(seen):>8.2f} {most:>7.1f} {median(computed):>8.2f}", flush=True)


def main() -> None:
    """Time the first load and every kind of reaction."""
    path = shutil.which("chromium") or shutil.which("google-chrome")
    if path is None:
        raise SystemExit("no Chromium on this machine; Debian: apt-get install chromium")
    with serving() as (address, server), sync_playwright() as driver:
        chromium = driver.chromium.launch(executable_path=path, args=FLAGS)
        print(f"load of the machine {os.getloadavg()[0]:.1f} on {os.cpu_count()} cores")
        print(f"{'SECONDS':<28} {'MEDIAN':>8} {'LONGEST':>8} {'LIMIT':>7} {'SERVER':>8}")
        first = cold(chromium, address, server)
        row("very first page", first[:1], MOST_COLD_S)
        row("cold browser", first[1:], MOST_COLD_S)
        for name, (place, act) in REACTIONS.items():
            row(name, reactions(chromium, address, server, place, act), MOST_REACTION_S)
        chromium.close()
        print(f"load of the machine {os.getloadavg()[0]:.1f}")


if __name__ == "__main__":
    main()
