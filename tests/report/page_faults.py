"""What is wrong with an HTML page: parse errors of the standard, ids twice, anything loaded."""

from __future__ import annotations

import re
from html.parser import HTMLParser as Tags

from tinyhtml5.parser import HTMLParser

VOID = {"meta", "br", "link", "img", "input", "hr"}
LOADS = {"src", "href", "xlink:href", "action", "poster", "data"}


class Checker(Tags):
    """Collects what is wrong: unclosed tags, ids used twice, anything loaded from elsewhere."""

    def __init__(self) -> None:
        super().__init__()
        self.open: list[str] = []
        self.ids: list[str] = []
        self.links: list[str] = []
        self.faults: list[str] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        if tag not in VOID:
            self.open.append(tag)
        for name, value in attrs:
            if name == "id":
                self.ids.append(value or "")
            if name in LOADS:
                self.links.append(value or "")
            if name == "style" and "url(http" in (value or ""):
                self.faults.append(f"style loads {value}")

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.handle_starttag(tag, attrs)
        if tag not in VOID:
            self.open.pop()

    def handle_endtag(self, tag: str) -> None:
        if not self.open or self.open.pop() != tag:
            self.faults.append(f"</{tag}> closes nothing")


def faults_of(page: str) -> list[str]:
    """Everything that is wrong with a page that must stand alone."""
    checker = Checker()
    checker.feed(page)
    found = checker.faults + [f"<{tag}> is not closed" for tag in checker.open]
    found += [f"id {i} twice" for i in set(checker.ids) if checker.ids.count(i) > 1]
    own = ("#", "data:image/png;base64,")
    found += [f"loads {link[:80]}" for link in checker.links if not link.startswith(own)]
    parser = HTMLParser()
    parser.parse(page)
    found += [f"line {at[0]}: {what} {about}" for at, what, about in parser.errors]
    found += [f"loads by {m}" for m in re.findall(r"@import|<script|<iframe", page)]
    if not page.startswith("<!DOCTYPE html>"):
        found.append("no doctype")
    return found
