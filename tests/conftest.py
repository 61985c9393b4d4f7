"""Shared by all tests: where the real data is, and no network but loopback."""

from __future__ import annotations

import shutil
import socket
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from hypothesis import settings

from tests.factories.project import DATA

settings.register_profile("untimed", deadline=None)  # a loaded machine must not fail a test
settings.load_profile("untimed")


@pytest.fixture(scope="session")
def data() -> Path:
    """The folder of real files; a test that asks for it is skipped, and says so, where there is none."""
    if not (DATA / "release").is_dir():
        pytest.skip(f"no real data at {DATA}; set MENTALLAMA_DATA to a folder with release/ and sources/")
    return DATA


@pytest.fixture(scope="module")
def browser() -> Iterator[Any]:
    """Chromium; by module, because its event loop runs until it is closed."""
    chromium = shutil.which("chromium")
    if chromium is None:
        pytest.skip("no chromium on this machine: apt-get install chromium; the page was not checked")
    sync = pytest.importorskip("playwright.sync_api", reason="no playwright: the page was not checked")
    with sync.sync_playwright() as playwright:
        opened = playwright.chromium.launch(executable_path=chromium, args=["--no-sandbox"])
        yield opened
        opened.close()


@pytest.fixture(autouse=True)
def _no_network(monkeypatch: pytest.MonkeyPatch) -> None:
    connect = socket.socket.connect

    def loopback_only(self: socket.socket, address: Any) -> None:
        host = address[0] if isinstance(address, tuple) else ""
        if self.family != socket.AF_UNIX and host not in {"127.0.0.1", "::1", "localhost"}:
            raise AssertionError(f"a test reached for the network: {address}")
        connect(self, address)

    monkeypatch.setattr(socket.socket, "connect", loopback_only)
