"""The command that installs an extra: from a clone, a wheel, an index, or from a place that is not known."""

from __future__ import annotations

import json
import shlex
import sys
from pathlib import Path

import pytest

from mentallama.extras import install_hint


@pytest.fixture
def installed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Metadata folder of an installed distribution called `example`."""
    folder = tmp_path / "site/example-1.0.dist-info"
    folder.mkdir(parents=True)
    (folder / "METADATA").write_text("Metadata-Version: 2.1\nName: example\nVersion: 1.0\n", encoding="utf-8")
    monkeypatch.setattr(sys, "path", [str(folder.parent), *sys.path])
    return folder


def record(folder: Path, url: str, **details: object) -> None:
    (folder / "direct_url.json").write_text(json.dumps({"url": url, **details}), encoding="utf-8")


def test_a_clone_is_installed_again_in_place(installed: Path, tmp_path: Path) -> None:
    clone = tmp_path / "my clone"
    clone.mkdir()
    record(installed, clone.as_uri(), dir_info={"editable": True})
    assert shlex.split(install_hint("train", "example")) == ["pip", "install", "-e", f"{clone}[train]"]


def test_a_wheel_is_named_by_its_file(installed: Path, tmp_path: Path) -> None:
    wheel = tmp_path / "example-1.0-py3-none-any.whl"
    wheel.touch()
    record(installed, wheel.as_uri(), archive_info={})
    assert shlex.split(install_hint("train", "example")) == ["pip", "install", f"{wheel}[train]"]


def test_a_package_of_an_index_is_named(installed: Path) -> None:
    assert install_hint("train", "example") == 'pip install "example[train]"'


@pytest.mark.parametrize("name", ["example", "not-installed"])
def test_a_place_that_is_gone_or_unknown_is_described(name: str, installed: Path, tmp_path: Path) -> None:
    record(installed, (tmp_path / "gone.whl").as_uri(), archive_info={})
    assert install_hint("vllm", name).startswith('pip install "SOURCE[vllm]", where SOURCE is')
