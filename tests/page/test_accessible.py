"""Reports and the page under axe-core: no serious or critical violation, light and dark."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from sim.cli.main import main

pytestmark = pytest.mark.xdist_group("browser")

CASES = Path(__file__).resolve().parents[1] / "cases" / "valid"
BAD = ("serious", "critical")
SCHEMES = ("light", "dark")
SWEEP = """
name: small
question: What does the place change?
base: {base}
set: {{grid.samples: 8, horizon_h: 0.1}}
axes:
  sites.campus.at.zone: [VA, MA]
show:
  - {{kind: response, value: sites.campus.peak_load_mw, x: sites.campus.at.zone}}
  - {{kind: heat-map, value: sites.campus.peak_load_mw, x: sites.campus.at.zone, y: seed}}
"""


@pytest.fixture(scope="module")
def reports(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """A page of each kind, as the command line writes it."""
    out = tmp_path_factory.mktemp("out")
    short = ["--set", "grid.samples=8", "--set", "horizon_h=0.02", "--out", str(out)]
    assert main(["run", str(CASES / "training-and-serving.yaml"), *short]) == 0
    assert main(["run", str(CASES / "two-sites.yaml"), *short]) == 0
    first, second = sorted(out.glob("*/seed-1"), reverse=True)
    both = out / "compare.html"
    assert main(["compare", str(first), str(second), "--html", str(both)]) == 0
    sweep = out / "small.yaml"
    sweep.write_text(SWEEP.format(base=CASES / "training-least.yaml"), "utf-8")
    assert main(["sweep", str(sweep), "--workers", "0", "--out", str(out)]) == 0
    capped = ["--policy", "power-cap:gpu_w=500", "--out", str(out / "policies")]
    study = ["whatif", str(CASES / "training-least.yaml"), "--set", "grid.samples=8"]
    assert main([*study, "--set", "horizon_h=0.02", *capped]) == 0
    return {
        "policies": out / "policies" / "report.html",
        "run": first / "report.html",
        "compare": both,
        "sweep": out / "sweep-small" / "report.html",
    }


def violations(page: Any, axe: str) -> list[str]:
    """What axe finds serious or critical on a page, with the first element at fault."""
    page.evaluate(axe)
    found = page.evaluate("axe.run(document, {resultTypes: ['violations']})")
    return [
        f"{v['id']}: {v['help']}: {v['nodes'][0]['html'][:160]} ({len(v['nodes'])} times)"
        for v in found["violations"]
        if v["impact"] in BAD
    ]


@pytest.mark.parametrize("scheme", SCHEMES)
@pytest.mark.parametrize("kind", ["run", "compare", "sweep", "policies"])
def test_a_report_has_no_serious_violation(browser, axe, reports, kind, scheme):
    page = browser.new_page(color_scheme=scheme)
    page.goto(reports[kind].as_uri())
    page.eval_on_selector_all("details", "all => all.forEach(one => one.open = true)")
    assert violations(page, axe) == []
    page.close()


@pytest.mark.parametrize("scheme", SCHEMES)
def test_the_page_has_no_serious_violation_before_and_after_a_run(browser, axe, address, scheme):
    # The page's policy forbids scripts that are not its own; axe comes from outside.
    context = browser.new_context(color_scheme=scheme, bypass_csp=True)
    page = context.new_page()
    page.set_default_timeout(180_000)
    page.goto(address)
    assert violations(page, axe) == []
    page.wait_for_selector("#answer:not([hidden])")
    page.eval_on_selector_all("details", "all => all.forEach(one => one.open = true)")
    assert violations(page, axe) == []
    context.close()


def test_axe_finds_a_fault(browser, axe):
    page = browser.new_page()
    page.set_content("<html><body><img src='data:,'><p style='color:#eee'>pale</p></body></html>")
    found = violations(page, axe)
    assert any(text.startswith("image-alt") for text in found)
    assert any(text.startswith("color-contrast") for text in found)
    page.close()
