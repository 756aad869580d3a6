"""What the tests of the page share: a server, a browser, axe, and the pages that are looked at.

Outside CI a test without a browser or without axe skips with one line; in CI it fails.
"""

from __future__ import annotations

import os
import shutil
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any, NoReturn

import httpx
import pytest

CHROMIUM = shutil.which("chromium") or shutil.which("chromium-browser")
AXE_SCRIPT = Path(__file__).parent / "axe" / "install.sh"
AXE = Path(__file__).parents[2] / "build" / "axe" / "node_modules" / "axe-core" / "axe.min.js"
INSTALL_S = 120


def missing(what: str) -> NoReturn:
    """A failure in CI, a skip elsewhere."""
    if os.environ.get("CI"):
        pytest.fail(what)
    pytest.skip(what)


def free_port() -> int:
    with socket.socket() as found:
        found.bind(("127.0.0.1", 0))
        return int(found.getsockname()[1])


@pytest.fixture(scope="session")
def address() -> Iterator[str]:
    """The page, served by the command line."""
    port = free_port()
    command = [sys.executable, "-m", "sim", "serve", "--port", str(port)]
    server = subprocess.Popen(command, stderr=subprocess.DEVNULL)
    url = f"http://127.0.0.1:{port}/"
    deadline_s = time.monotonic() + 60
    while time.monotonic() < deadline_s:
        try:
            httpx.get(url)
            break
        except httpx.TransportError:
            time.sleep(0.2)
    yield url
    server.terminate()
    server.wait(timeout=10)


@pytest.fixture(scope="session")
def browser() -> Iterator[Any]:
    if CHROMIUM is None:
        missing("no chromium on this machine")
    from playwright.sync_api import sync_playwright

    with sync_playwright() as playwright:
        made = playwright.chromium.launch(executable_path=CHROMIUM, args=["--no-sandbox"])
        yield made
        made.close()


@pytest.fixture(scope="session")
def axe() -> str:
    """The text of axe-core, installed by npm on the first use."""
    if not AXE.is_file():
        if shutil.which("npm") is None:
            missing(f"no axe-core: neither npm nor {AXE.name} is here")
        done = subprocess.run(
            [str(AXE_SCRIPT)], capture_output=True, text=True, timeout=INSTALL_S, check=False
        )
        if done.returncode:
            missing(f"no axe-core: npm says {done.stderr.strip()[-200:]}")
    return AXE.read_text("utf-8")
