"""The page and the report in a real browser (Debian's headless Chromium through Playwright)."""

from __future__ import annotations

import base64
import json
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


READ = """told => { const link = document.getElementById("link");
    return told ? link.nextElementSibling.textContent.startsWith(told)
                : link.hash.length > 400; }"""


def link(**more: Any) -> str:
    """A small question, as the page encodes it."""
    small = {"place": "VA", "work": "serving", "gpus": 80, "arch": "llama-3.1-8b"} | more
    return base64.urlsafe_b64encode(json.dumps(small).encode()).decode().rstrip("=")


def test_a_linked_question_is_answered_end_to_end(page):
    page.wait_for_selector("#answer:not([hidden])")
    assert "nearest limit" in page.inner_text("#verdict")
    assert page.input_value("#place") == "VA"
    page.wait_for_selector(DRAWN)
    assert page.locator("#downloads a").count() >= 3
    page.set_viewport_size({"width": 480, "height": 800})
    assert page.evaluate("document.documentElement.scrollWidth") == 480


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
    page.fill("#ttft_s", "-1")  # is not shown for training, and not asked
    page.check("input[value=training]")
    with page.expect_request("**/api/runs") as asked:
        page.click("#ask")
    assert asked.value.post_data_json["ttft_s"] is None
    page.wait_for_selector("#cancel:not([disabled])")
    page.click("#cancel")
    page.wait_for_selector("#progress:has-text('cancelled'), #progress:has-text('answered')")


def test_the_answer_survives_a_reload(page, address):
    page.wait_for_selector("#answer:not([hidden])")
    page.goto(address)
    page.reload()
    page.wait_for_selector("#answer:not([hidden])")
    assert page.inner_text("#verdict")
    assert page.input_value("#gpus") == "80"


def test_a_server_that_started_anew_is_asked_again(page):
    page.wait_for_selector("#answer:not([hidden])")
    page.evaluate("""sessionStorage.setItem("last",
        sessionStorage.getItem("last").replace(/"server":"\\w+"/, '"server":"another"'))""")
    with page.expect_request("**/api/runs"):
        page.reload()


def test_a_reload_finds_an_uploaded_config_and_asks_nothing_again(page):
    config = {"architectures": ["LlamaForCausalLM"], "model_type": "llama", "hidden_size": 512,
              "intermediate_size": 1024, "num_hidden_layers": 2, "num_attention_heads": 8,
              "num_key_value_heads": 8, "vocab_size": 1000}  # fmt: skip
    asked: list[str] = []
    page.on("request", lambda request: asked.append(request.method))
    page.wait_for_selector("#answer:not([hidden])")
    for told, more in (("", {}), ("without the uploaded config", {"note": "x" * 7000})):
        text = json.dumps(config | more, indent=1).encode()
        file = {"name": "config.json", "mimeType": "application/json", "buffer": text}
        page.set_input_files("#config", file)
        page.wait_for_function(READ, arg=told)
        page.click("#ask")
        page.wait_for_selector("#runs th:has-text('80 in VA')")
        page.wait_for_selector("#runs td:has-text('the uploaded config')")
        page.wait_for_selector("#ask:not([disabled])")
        asked.clear()
        page.reload()
        page.wait_for_selector("#answer:not([hidden])")
        assert page.inner_text("#link-told").startswith(told)
        assert "POST" not in asked


def test_the_slider_goes_on_by_keyboard_and_what_is_overtaken_is_cancelled(page):
    page.wait_for_selector("#answer:not([hidden])")
    held: list[Any] = []
    page.route("**/api/runs", lambda route, _request: held.append(route))
    for start, least in (("8000", 7600), ("24000", 21600)):
        page.fill("#gpus", start)
        page.press("#gpus", "Tab")
        page.focus("#gpus-slider")
        with page.expect_request("**/api/runs"):
            for _ in range(6):
                page.keyboard.press("ArrowLeft")
        assert int(page.input_value("#gpus")) < least
    assert len(held) == 2, "six steps ask once"
    with page.expect_request("**/api/runs/901/cancel"):
        held[0].fulfill(status=202, json={"run": 901})
    held[1].abort()
    page.wait_for_selector("#progress:has-text('the server does not answer')")
    assert page.is_enabled("#ask")


def test_a_link_made_by_hand_is_read_as_far_as_it_is_a_question(page, address):
    page.goto(f"{address}#{link(policies=None, more=1)}")
    page.reload()
    page.wait_for_selector("#answer:not([hidden])")
    assert page.locator(".policy").count() == 0
    page.goto(f"{address}#{link(policies=['constructor'])}")
    page.reload()
    page.wait_for_selector("#wrong-policies:not(:empty)")
    assert "constructor" in page.inner_text("#wrong-policies")


def test_a_policy_may_be_there_twice_and_its_removal_keeps_the_focus(page):
    for _ in range(2):
        page.select_option("#policy", "power-cap")
    ids = page.eval_on_selector_all(".policy [id]", "all => all.map(one => one.id)")
    assert len(ids) == len(set(ids)) >= 2
    page.locator(".policy button").first.press("Enter")
    assert page.evaluate("document.activeElement.id") == "policy"


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


def test_a_bus_is_chosen_on_the_map_by_mouse_and_by_keyboard(page, address):
    page.route("**/api/buses", lambda route: route.abort())
    page.click("#map-buses")
    page.wait_for_selector("#bus-told:has-text('the server does not answer')")
    page.unroute("**/api/buses")
    page.click("#map-buses")
    page.wait_for_selector("#bus-told:has-text('2000 buses')")
    page.locator("#buses").click(position={"x": 150, "y": 140})
    first = page.input_value("#place")
    assert first.startswith("bus ")
    assert f"{first}, " in page.inner_text("#bus-told")
    page.focus("#buses")
    page.keyboard.press("ArrowRight")
    assert page.input_value("#place") not in (first, "")
    places: dict[tuple[float, float], list[str]] = {}
    for number, lon, lat, _ in page.request.get(f"{address}api/buses").json()["buses"]:
        places.setdefault((lon, lat), []).append(f"bus {number}")
    substation = max(places.values(), key=len)
    page.fill("#place", substation[0])
    page.press("#place", "Tab")
    page.focus("#buses")
    seen = []
    for _ in substation:
        seen.append(page.input_value("#place"))
        page.keyboard.press("Enter")
    assert sorted(seen) == sorted(substation)
    assert page.input_value("#place") == substation[0]
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
