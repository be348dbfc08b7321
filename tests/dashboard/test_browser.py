"""The dashboard in a real headless Chromium: pages draw, reactions arrive, the URL holds the run, nothing leaves."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Any

import pytest

playwright = pytest.importorskip("playwright.sync_api")
expect, PlaywrightTimeout = playwright.expect, playwright.TimeoutError
expect.set_options(timeout=90_000)
pytestmark = [pytest.mark.browser, pytest.mark.xdist_group("browser")]
PATIENCE_MS = 90_000
LOCAL = re.compile(r"^(http|ws)://127\.0\.0\.1:\d+/|^(data|blob):")
PHONE, DESK = {"width": 390, "height": 844}, {"width": 1280, "height": 1700}
LOOKS = {"dark phone": (PHONE, "dark"), "light phone": (PHONE, "light"), "dark desk": (DESK, "dark")}
READY = "[data-testid='stApp'][data-test-script-state='notRunning']"


@pytest.fixture(scope="module")
def desktop(browser: Any, server: str) -> Iterator[Any]:
    """One context for all tests: what a browser loads once it loads once."""
    context = browser.new_context(viewport=DESK, base_url=server)
    context.set_default_timeout(PATIENCE_MS)
    yield context
    context.close()


@pytest.fixture(scope="module")
def looks(browser: Any, server: str) -> Iterator[dict[str, Any]]:
    """One context for each look of the pages beside the light one on a desk."""
    contexts = {
        name: browser.new_context(viewport=size, color_scheme=scheme, base_url=server)
        for name, (size, scheme) in LOOKS.items()
    }
    for context in contexts.values():
        context.set_default_timeout(PATIENCE_MS)
    yield contexts
    for context in contexts.values():
        context.close()


@pytest.fixture
def page(desktop: Any) -> Iterator[Any]:
    opened = desktop.new_page()
    yield opened
    opened.close()


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


ADVISE = "/advise?model=mnist-cnn&work=samples&amount=100M&precision=float32&hardware=t4,l4"
PAGES = {
    "/?model=gpt2&amount=1B": "What will it take",
    "/compare?model=gpt2&amount=1B": "GPU, TPU or CPU",
    "/model?model=gpt2": "What does one step compute",
    ADVISE: "So what should I rent",
    "/plan?model=gpt2&scale=1,8": "How should many devices share it",
    "/roofline?model=gpt2": "What holds the operations back",
    "/hardware": "What is there, and what does it cost",
    "/accuracy": "How far off are the predictions",
    "/claims": "Was it true what they said",
}


def seen(path: str, look: str) -> Any:
    """All pages in the dark on a phone, which shows most; the other looks of all but two pages are slow."""
    quick = look == "dark phone" or path.startswith(("/compare", "/model"))
    return pytest.param(path, look, id=f"{path} {look}", marks=[] if quick else pytest.mark.slow)


@pytest.mark.parametrize(("path", "look"), [seen(path, look) for look in LOOKS for path in PAGES])
def test_pages_on_a_phone_and_in_the_dark(looks: dict[str, Any], path: str, look: str) -> None:
    size, scheme = LOOKS[look]
    page = looks[look].new_page()
    errors: list[str] = []
    page.on("pageerror", lambda error: errors.append(str(error)))
    page.goto(path)
    settled(page, PAGES[path])
    page.get_by_role("figure").or_(page.get_by_test_id("stDataFrame")).first.wait_for()
    assert page.evaluate("document.documentElement.scrollWidth") <= size["width"]
    colour = page.evaluate("getComputedStyle(document.querySelector('[data-testid=stApp]')).backgroundColor")
    brightness = sum(map(int, re.findall(r"\d+", colour)[:3]))
    assert brightness < 200 if scheme == "dark" else brightness > 600
    assert errors == []
    page.close()


def saved(page: Any, name: str, tries: int = 3) -> str:
    """Return the file behind a button; one that is just being drawn anew takes a click and does nothing."""
    button = page.get_by_role("button", name=name, exact=True).first
    for _ in range(tries - 1):
        try:
            with page.expect_download(timeout=15_000) as download:
                button.click()
            return str(download.value.path().read_text())
        except PlaywrightTimeout:
            page.locator(READY).wait_for()
    with page.expect_download() as download:
        button.click()
    return str(download.value.path().read_text())


def test_hardware_finds_a_device_by_its_memory_and_saves_the_table(page: Any) -> None:
    page.goto("/hardware")
    settled(page, PAGES["/hardware"])
    page.get_by_role("radio", name="memory", exact=True).click()
    page.get_by_role("heading", name="is the cheapest memory").wait_for()
    page.wait_for_url("**against=memory**")
    assert "usd_per_gib_hour" in saved(page, "CSV").splitlines()[0]
    page.get_by_role("figure", name=re.compile("Prices of h100-sxm over time")).wait_for()


def test_model_breaks_down_bytes_and_saves_a_chart_as_png(page: Any) -> None:
    page.goto("/model?model=gpt2")
    settled(page, PAGES["/model?model=gpt2"])
    page.get_by_role("radio", name="bytes moved").click()
    chart = page.get_by_role("figure", name=re.compile("Modules of gpt2 by bytes moved"))
    chart.wait_for()
    with page.expect_download() as download:
        chart.locator(".modebar-btn").first.click()
    assert download.value.suggested_filename == "flopcast-modules.png"
    assert download.value.path().read_bytes().startswith(b"\x89PNG")


def test_plan_waits_for_its_process_and_writes_a_file(page: Any) -> None:
    page.goto("/plan?model=gpt2&scale=1,8")
    settled(page, "How should many devices share it")
    page.get_by_role("heading", name=re.compile("h100-sxm pays?, up to|h100-sxm pay up to")).wait_for()
    page.get_by_text("torchrun --").first.wait_for()
    page.wait_for_timeout(1500)  # the last look at the process may still draw the page anew, which closes a list
    page.locator(READY).wait_for()
    form = page.get_by_role("combobox", name=re.compile("Write the best plan for"))
    form.scroll_into_view_if_needed()
    form.click()
    form.press_sequentially("torchtitan", delay=50)
    page.get_by_role("option", name="torchtitan").wait_for()
    form.press("Enter")
    page.get_by_text("data_parallel_replicate_degree").first.wait_for()
    whole = saved(page, "HTML")
    assert "Plotly.newPlot" in whole and "flopcast plan gpt2 --hardware h100-sxm --count 1,8" in whole


def test_roofline_follows_the_device(page: Any) -> None:
    page.goto("/roofline?model=gpt2")
    settled(page, "What holds the operations back")
    page.get_by_role("figure", name="Operations of a step on the roofline of h100-sxm").wait_for()
    page.locator(READY).wait_for()
    device = page.get_by_role("combobox", name=re.compile("Device"), exact=False).first
    device.fill("a100-sxm-80gb")
    device.press("Enter")
    page.get_by_role("figure", name="Operations of a step on the roofline of a100-sxm-80gb").wait_for()
    page.wait_for_url("**device=a100-sxm-80gb**")
    assert '"without_flops"' in saved(page, "JSON")


def test_accuracy_follows_what_the_fit_has_not_seen(page: Any) -> None:
    page.goto("/accuracy?strata=pycls")
    settled(page, "How far off are the predictions")
    before = page.get_by_role("heading", name=re.compile("Half of 11 steps")).inner_text()
    page.get_by_role("radio", name="device", exact=True).click()
    page.wait_for_url("**unseen=device**")
    expect(page.get_by_role("heading", name=re.compile("Half of 11 steps"))).not_to_have_text(before)
    assert "median_error" in saved(page, "CSV").splitlines()[0]


def test_advise_follows_the_budget_and_saves_its_answer(page: Any) -> None:
    page.goto(ADVISE)
    settled(page, "So what should I rent")
    page.get_by_text(re.compile("^Rent 1× ")).wait_for()
    page.get_by_role("figure", name=re.compile("What .* changes would do to the cost")).wait_for()
    assert '"recommendation"' in saved(page, "JSON")
    budget = page.get_by_role("textbox", name="Budget")
    budget.fill("$0.00001")
    budget.press("Enter")
    page.get_by_text(re.compile("^Nothing fits")).first.wait_for()
    page.wait_for_url("**budget=**")


def test_claims_follow_the_choice_and_are_saved(page: Any) -> None:
    page.goto("/claims")
    settled(page, "Was it true what they said")
    page.get_by_role("heading", name=re.compile("GPT-3 on one V100")).wait_for()
    page.wait_for_timeout(1500)  # the last look at the process may still draw the page anew, which closes a list
    page.locator(READY).wait_for()
    claim = page.get_by_role("combobox", name="Claim")
    claim.fill("ResNet-50")
    claim.press("Enter")
    page.get_by_role("heading", name="ResNet-50: 70 hours").wait_for()
    assert saved(page, "CSV").splitlines()[0] == "when,what,value,unit,how"


def test_a_chart_is_reached_and_named_without_a_mouse(page: Any) -> None:
    page.goto("/compare?model=gpt2&amount=1B")
    settled(page, "GPU, TPU or CPU")
    charts = page.get_by_role("figure")
    charts.first.wait_for()
    assert all(charts.nth(place).get_attribute("aria-label") for place in range(charts.count()))
    budget = page.get_by_role("textbox", name="Budget")
    budget.focus()
    page.keyboard.type("$500")
    page.keyboard.press("Tab")
    page.get_by_role("heading", name=re.compile("options keep to \\$500")).wait_for()
    assert page.evaluate("document.activeElement.getAttribute('aria-label')") == "Deadline"
