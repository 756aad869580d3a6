"""Every Python block of the documentation runs, page by page, from the project's folder."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
PAGES = sorted((ROOT / "docs").rglob("*.md"))
WITH_CODE = [p for p in PAGES if p.name == "tutorial.md" or p.parent.name == "how-to"]
BLOCK = re.compile(r"```python\n(.*?)```", re.DOTALL)
LINK = re.compile(r"\]\((?!https?:)([^)#]+)")


def test_there_is_a_tutorial_and_five_how_to_pages():
    names = {str(p.relative_to(ROOT / "docs")) for p in WITH_CODE}
    assert "tutorial.md" in names
    assert len([n for n in names if n.startswith("how-to/")]) >= 5


@pytest.mark.parametrize("page", WITH_CODE, ids=lambda p: p.stem)
def test_the_code_of_a_page_runs(page, monkeypatch):
    monkeypatch.chdir(ROOT)
    code = "\n".join(BLOCK.findall(page.read_text("utf-8")))
    names: dict[str, object] = {"__name__": "docs"}
    exec(compile(code, str(page), "exec"), names)  # noqa: S102
    assert names.keys() > {"__name__", "__builtins__"}, f"{page.name}: no code that leaves anything"


@pytest.mark.parametrize("page", PAGES, ids=lambda p: p.stem)
def test_links_lead_somewhere(page):
    for target in LINK.findall(page.read_text("utf-8")):
        assert (page.parent / target).exists(), target
