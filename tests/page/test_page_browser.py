"""The page and the report in a real browser (Debian's headless Chromium through Playwright)."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

pytestmark = pytest.mark.xdist_group("browser")
DRAWN = "#downloads a[download='report.html']"
"""The report comes last: then all figures are there."""


@pytest.fixture
def page(browser: Any, address: str) -> Iterator[Any]:
    made = browser.new_page()
    made.set_default_timeout(180_000)
    errors: list[str] = []
    made.on("pageerror", lambda error: errors.append(str(error)))
    made.goto(f"{address}#{link()}")
    yield made
    made.close()
    assert errors == []


def link() -> str:
    """A small question, as the page encodes it."""
    import base64
    import json

    small = {"place": "VA", "work": "serving", "gpus": 80, "arch": "llama-3.1-8b"}
    return base64.urlsafe_b64encode(json.dumps(small).encode()).decode().rstrip("=")


def test_a_linked_question_is_answered_end_to_end(page):
    page.wait_for_selector("#answer:not([hidden])")
    assert "nearest limit" in page.inner_text("#verdict")
    assert page.input_value("#place") == "VA"
    page.wait_for_selector(DRAWN)
    assert page.locator("#downloads a").count() >= 3


def test_every_figure_of_the_run_is_shown_with_its_caption_and_numbers(page):
    page.wait_for_selector(DRAWN)
    figures = page.locator("#figures figure")
    assert figures.count() >= 4
    for place in range(figures.count()):
        one = figures.nth(place)
        one.scroll_into_view_if_needed()
        image = one.locator("img")
        page.wait_for_function("i => i.complete && i.naturalWidth > 0", arg=image.element_handle())
        assert len(image.get_attribute("alt")) > 30
        assert one.locator("a").count() == 2
    names = page.eval_on_selector_all("#figures a", "all => all.map(a => a.download)")
    assert {"power_time.svg", "power_time.csv", "load_duration.svg"} <= set(names)


def test_an_error_stands_at_its_field_and_has_the_focus(page):
    page.wait_for_selector("#answer:not([hidden])")
    page.fill("#place", "Atlantis")
    page.press("#place", "Tab")
    page.click("#ask")
    page.wait_for_selector("#wrong-place:not(:empty)")
    assert "unknown zone 'Atlantis'" in page.inner_text("#wrong-place")
    assert page.get_attribute("#place", "aria-invalid") == "true"


def test_a_run_is_cancelled(page):
    page.wait_for_selector("#answer:not([hidden])")
    page.fill("#gpus", "400000")
    page.check("input[value=training]")
    page.click("#ask")
    page.wait_for_selector("#cancel:not([disabled])")
    page.click("#cancel")
    page.wait_for_selector("#progress:has-text('cancelled'), #progress:has-text('answered')")


def test_the_answer_survives_a_reload(page, address):
    page.wait_for_selector("#answer:not([hidden])")
    page.goto(address)
    page.reload()
    page.wait_for_selector("#answer:not([hidden])")
    assert page.inner_text("#verdict")


def test_tiles_work_by_keyboard(page):
    page.focus("#tiles button[aria-label=OH]")
    page.keyboard.press("Enter")
    assert page.input_value("#place") == "OH"
    assert page.get_attribute("#tiles button[aria-label=OH]", "aria-pressed") == "true"


def test_the_report_opens_from_disk_and_asks_for_nothing(browser, page, tmp_path):
    page.wait_for_selector("#answer:not([hidden])")
    with page.expect_download() as waiting:
        page.click(DRAWN)
    path = Path(tmp_path / "report.html")
    waiting.value.save_as(path)
    offline = browser.new_page()
    asked: list[str] = []
    offline.on("request", lambda request: asked.append(request.url))
    offline.goto(path.as_uri())
    assert asked == [path.as_uri()]
    assert "peak at the meter" in offline.inner_text("body")
    assert path.stat().st_size < 1_000_000
    offline.close()


def test_a_bus_is_chosen_on_the_map_by_mouse_and_by_keyboard(page):
    page.click("#map-buses")
    page.wait_for_selector("#bus-told:has-text('2000 buses')")
    page.locator("#buses").click(position={"x": 150, "y": 140})
    first = page.input_value("#place")
    assert first.startswith("bus ")
    assert f"{first}, " in page.inner_text("#bus-told")
    page.focus("#buses")
    page.keyboard.press("ArrowRight")
    assert page.input_value("#place") not in (first, "")
    page.click("#map-states")
    assert page.is_visible("#tiles")


def test_an_answer_says_how_its_power_is_made_up_and_stands_beside_those_before(page):
    page.wait_for_selector("#answer:not([hidden])")
    for title in ("Key figures", "How the MW is made up", "Serving"):
        assert page.locator(f"h2:has-text('{title}')").count() >= 1
    page.fill("#gpus", "88")
    page.click("#ask")
    page.wait_for_selector("#runs th:has-text('88 in VA')")
    assert page.locator("#runs th:has-text('80 in VA')").count() == 1
    page.reload()
    page.wait_for_selector("#runs th:has-text('88 in VA')")
    assert page.input_value("#gpus") == "88"
    assert page.locator("#runs th:has-text('80 in VA')").count() == 1


def test_a_link_carries_an_uploaded_config(page):
    config = '{"model_type": "llama"}'
    file = {"name": "config.json", "mimeType": "application/json", "buffer": config.encode()}
    page.set_input_files("#config", file)
    page.wait_for_function("document.getElementById('link').hash.length > 250")
    told = page.evaluate("JSON.parse(atob(document.getElementById('link').hash.slice(1)"
                         ".replaceAll('-', '+').replaceAll('_', '/')))")  # fmt: skip
    assert told["config"] == '{"model_type":"llama"}'
