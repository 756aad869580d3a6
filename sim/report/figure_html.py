"""A figure inside a page: its SVG as an element, with an alternative text and a caption."""

from __future__ import annotations

import html
import re
from collections.abc import Mapping

COLUMN_MOST_PT = 300
"""A wider figure is drawn for the page."""
MOST_BYTES = 840_000
"""Of all figures of a page together: a page stays below 1 MB."""
_NUMBER = re.compile(r"(\d+\.\d\d)\d+")
_TENTHS = re.compile(r"(\d+\.\d)\d+")
LONG_PATH = 20_000
"""Characters from which a path is a map or a cloud: a tenth of a point is fine enough."""
_COORDINATES = re.compile(r'\b(d|points|x|y)="[^"]*"')


def finding(svg: str) -> str:
    """The sentence that a figure carries in its description; empty if it carries none."""
    found = re.search(r"<dc:description>(.*?)</dc:description>", svg, flags=re.DOTALL)
    return html.unescape(found[1]) if found else ""


def figure_html(name: str, svg: str, told: str) -> dict[str, str]:
    """A figure with its caption, which is its alternative text too.

    Args:
        name: an id, unique on the page. svg: an SVG document. told: its caption.
    """
    label = html.escape(f"Figure {name.replace('_', ' ')}. {told}", quote=True)
    body = inline(svg, name).replace("<svg ", f'<svg role="img" aria-label="{label}" ', 1)
    return {"name": name, "svg": body, "caption": told, "width": _width(svg)}


def _width(svg: str) -> str:
    """What it is drawn for: `column` or `page`."""
    found = re.search(r'<svg [^>]*?\bwidth="([\d.]+)pt"', svg)
    return "column" if found and float(found[1]) < COLUMN_MOST_PT else "page"


def inline(svg: str, name: str) -> str:
    """An SVG document as an element: ids of its own, coordinates to a hundredth of a point.

    Those of very long paths to a tenth.
    """
    body = svg[svg.index("<svg") :]
    body = re.sub(r"<metadata>.*?</metadata>", "", body, flags=re.DOTALL)
    body = re.sub(r'\bid="', f'id="{name}-', body)
    body = re.sub(r'href="#', f'href="#{name}-', body)
    body = re.sub(r"url\(#", f"url(#{name}-", body)
    body = _COORDINATES.sub(_shortened, body)
    return re.sub(r'\s+xmlns:xlink="[^"]*"', "", body).replace("xlink:href", "href")


def _shortened(found: re.Match[str]) -> str:
    return (_TENTHS if len(found[0]) > LONG_PATH else _NUMBER).sub(r"\1", found[0])


def within(figures: list[dict[str, str]], most_bytes: int = MOST_BYTES) -> list[dict[str, str]]:
    """The figures of a page, those that would make it too large in words only.

    Args:
        figures: of `figure_html`, in their order; the largest are left out first.
    """
    sizes = {f["name"]: len(f["svg"].encode()) for f in figures}
    dropped: set[str] = set()
    for name in sorted(sizes, key=lambda n: -sizes[n]):
        if sum(size for n, size in sizes.items() if n not in dropped) <= most_bytes:
            break
        dropped.add(name)
    return [_left_out(f) if f["name"] in dropped else f for f in figures]


def _left_out(figure: Mapping[str, str]) -> dict[str, str]:
    told = f"{figure['caption']} (Too large for this page: see the file of the figure.)"
    return {**figure, "svg": "", "caption": told}
