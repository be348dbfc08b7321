"""The dashboard in a real headless Chromium: pages draw, reactions arrive, the URL holds the run, nothing leaves."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Any

import pytest

expect = pytest.importorskip("playwright.sync_api").expect
expect.set_options(timeout=90_000)
pytestmark = [pytest.mark.browser, pytest.mark.xdist_group("browser")]
PATIENCE_MS = 90_000
LOCAL = re.compile(r"^(http|ws)://127\.0\.0\.1:\d+/|^(data|blob):")
READY = "[data-testid='stApp'][data-test-script-state='notRunning']"


@pytest.fixture
def page(browser: Any, server: str) -> Iterator[Any]:
    context = browser.new_context(viewport={"width": 1280, "height": 1700}, base_url=server)
    context.set_default_timeout(PATIENCE_MS)
    yield context.new_page()
    context.close()


def settled(page: Any, heading: str) -> None:
    page.get_by_role("heading", name=heading).wait_for(timeout=PATIENCE_MS)
    page.locator(READY).wait_for(timeout=PATIENCE_MS)


def test_estimate_answers_and_follows_the_sidebar(page: Any) -> None:
    page.goto("/?model=gpt2&amount=1B")
    settled(page, "What will it take")
    cost = page.get_by_test_id("stMetricValue").first
    before = cost.inner_text()
    amount = page.get_by_role("textbox", name="How much")
    amount.fill("20B")
    amount.press("Enter")
    page.wait_for_function(
        "text => document.querySelector('[data-testid=stMetricValue]').innerText !== text", arg=before
    )
    page.wait_for_url("**amount=20B**")
    page.reload()
    settled(page, "What will it take")
    expect(page.get_by_role("textbox", name="How much")).to_have_value("20B")


def test_compare_draws_gpu_tpu_and_cpu(page: Any) -> None:
    page.goto("/compare?model=gpt2&amount=1B")
    settled(page, "GPU, TPU or CPU")
    chart = page.get_by_role("figure", name=re.compile("Cost against run time"))
    chart.wait_for()
    for kind in ("GPU", "TPU", "CPU", "Pareto frontier"):
        assert chart.get_by_text(kind, exact=True).count() >= 1
    with page.expect_download() as download:
        page.get_by_role("button", name="CSV", exact=True).click()
    header = download.value.path().read_text().splitlines()[0]
    assert "cost_usd" in header and "run_time_s" in header


def test_nothing_leaves_the_machine_and_nothing_breaks(page: Any) -> None:
    requests: list[str] = []
    errors: list[str] = []
    page.on("request", lambda request: requests.append(request.url))
    page.on("pageerror", lambda error: errors.append(str(error)))
    for path, heading in (("/", "What will it take"), ("/compare", "GPU, TPU or CPU")):
        page.goto(path)
        settled(page, heading)
    assert requests
    assert [url for url in requests if not LOCAL.match(url)] == []
    assert errors == []


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_phone_width_needs_no_sideways_scroll(browser: Any, server: str, scheme: str) -> None:
    context = browser.new_context(viewport={"width": 390, "height": 844}, color_scheme=scheme)
    page = context.new_page()
    page.goto(f"{server}/compare?model=gpt2&amount=1B")
    settled(page, "GPU, TPU or CPU")
    assert page.evaluate("document.documentElement.scrollWidth") <= 390
    context.close()
