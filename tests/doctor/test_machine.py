"""Facts about the machine, from the values that a system can give."""

from __future__ import annotations

import errno
import tempfile
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mentallama.doctor.machine import (
    Accelerator,
    accelerator_of,
    describe_machine,
    folder_space,
    hub_cache,
    memory_bytes,
    proxy_settings,
    secret_names,
    temporary_folder,
    usable_cpus,
    without_credentials,
)


@pytest.mark.parametrize(
    ("url", "shown"),
    [
        ("http://proxy.example:3128", "http://proxy.example:3128"),
        ("socks5h://me@proxy.example", "socks5h://proxy.example (with credentials)"),
        ("me:pw@proxy.example:8080", "proxy.example:8080 (with credentials)"),
        ("http://me:p@ss/word?@proxy.example/x?token=1", "http://proxy.example (with credentials)"),
        ("me:a://b@proxy.example", "proxy.example (with credentials)"),
        ("http://proxy.example/#key", "http://proxy.example"),
    ],
)
def test_a_proxy_is_shown_without_credentials(url: str, shown: str) -> None:
    assert without_credentials(url) == shown


@given(st.text("abc:/?#@%", max_size=6), st.sampled_from(["http://", "https://", ""]))
def test_no_part_of_a_password_is_shown(part: str, scheme: str) -> None:
    password = f"XX{part}XX"
    assert without_credentials(f"{scheme}me:{password}@host:1") == f"{scheme}host:1 (with credentials)"


def test_only_proxies_and_names_of_keys_are_taken_from_the_environment() -> None:
    environ = {
        "HTTPS_PROXY": "http://me:pw@proxy.example:1",
        "no_proxy": "localhost,.example",
        "http_proxy": "",
        "MENTALLAMA_API_KEY": "one",
        "HF_TOKEN": "two",
        "EMPTY_API_KEY": "",
        "SSH_AUTH_SOCK": "/run/x",
        "HOME": "/home/x",
    }
    assert proxy_settings(environ) == {
        "HTTPS_PROXY": "http://proxy.example:1 (with credentials)",
        "no_proxy": "localhost,.example",
    }
    assert secret_names(environ) == ("HF_TOKEN", "MENTALLAMA_API_KEY")


def test_memory_is_at_most_what_a_container_may_use(tmp_path: Path) -> None:
    limit = tmp_path / "memory.max"
    whole = memory_bytes(limit)
    assert whole[0] is not None
    assert whole[0] > 100_000_000
    limit.write_text("50000000\n", encoding="ascii")
    assert memory_bytes(limit)[0] == 50_000_000
    limit.write_text("max\n", encoding="ascii")
    assert memory_bytes(limit)[0] == whole[0]


def test_some_processor_is_usable() -> None:
    assert usable_cpus() >= 1


def fake_torch(devices: list[tuple[str, int]], mps: bool = False, cuda_build: str | None = None) -> Any:
    properties = [SimpleNamespace(name=name, total_memory=size) for name, size in devices]
    return SimpleNamespace(
        cuda=SimpleNamespace(
            is_available=lambda: bool(devices),
            device_count=lambda: len(devices),
            get_device_properties=properties.__getitem__,
        ),
        backends=SimpleNamespace(mps=SimpleNamespace(is_available=lambda: mps)),
        version=SimpleNamespace(cuda=cuda_build),
    )


def test_accelerators_are_named_with_their_memory_or_the_reason_why_there_is_none(tmp_path: Path) -> None:
    two = fake_torch([("GPU A", 80_000_000_000), ("GPU B", 16_900_000_000)])
    assert accelerator_of(two) == Accelerator("cuda", ("GPU A, 80.0 GB", "GPU B, 16.9 GB"))
    assert accelerator_of(fake_torch([], mps=True)).kind == "mps"
    driver = tmp_path / "version"
    assert accelerator_of(fake_torch([]), driver).note == "torch finds no GPU"
    driver.touch()
    assert "built for CPUs" in accelerator_of(fake_torch([]), driver).note
    assert "does not work with its driver" in accelerator_of(fake_torch([], cuda_build="12.8"), driver).note


def test_a_folder_that_does_not_exist_yet_has_the_space_of_its_disk(tmp_path: Path) -> None:
    space = folder_space("purpose", tmp_path / "a/b")
    assert (space.purpose, space.path, space.fault) == ("purpose", str(tmp_path / "a/b"), None)
    assert space.free is not None
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("code", [errno.EACCES, errno.EROFS, errno.ENOSPC])
def test_a_folder_that_cannot_be_written_has_a_fault(
    code: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(**_: Any) -> Any:
        raise OSError(code, "no such luck")

    monkeypatch.setattr(tempfile, "TemporaryFile", fail)
    assert folder_space("purpose", tmp_path).fault == "no such luck"


@pytest.mark.parametrize(
    ("environ", "expected"),
    [
        ({"HF_HUB_CACHE": "/a", "HF_HOME": "/b"}, Path("/a")),
        ({"HF_HOME": "/b", "XDG_CACHE_HOME": "/c"}, Path("/b/hub")),
        ({"XDG_CACHE_HOME": "/c"}, Path("/c/huggingface/hub")),
        ({}, Path.home() / ".cache/huggingface/hub"),
    ],
)
def test_the_cache_is_where_the_hub_puts_it(environ: dict[str, str], expected: Path) -> None:
    assert hub_cache(environ) == expected


def test_without_any_temporary_folder_there_is_a_fault(monkeypatch: pytest.MonkeyPatch) -> None:
    def fail() -> str:
        raise FileNotFoundError(errno.ENOENT, "No usable temporary directory found")

    assert temporary_folder().fault is None
    monkeypatch.setattr(tempfile, "gettempdir", fail)
    assert temporary_folder().fault == "no folder for them can be written"


def test_this_machine_is_described(tmp_path: Path) -> None:
    machine = describe_machine(tmp_path, {"HF_HOME": str(tmp_path)})
    assert [folder.fault for folder in machine.folders] == [None, None, None]
    assert not machine.accelerator.is_broken
    assert list(tmp_path.iterdir()) == []
