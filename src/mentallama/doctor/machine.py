"""The machine: processors, memory, accelerator, disks, proxies, and the names of the keys in the environment."""

from __future__ import annotations

import os
import re
import shutil
import tempfile
from collections.abc import Mapping
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path
from typing import Any

from mentallama.environment import memory_bytes, size_text, usable_cpus
from mentallama.errors import MentallamaError

_PROXY_NAMES = ("http_proxy", "https_proxy", "all_proxy", "no_proxy")
_KEY_NAME = re.compile(r"(API_?KEY|TOKEN)$")
_SCHEME = re.compile(r"[A-Za-z][A-Za-z0-9+.-]*")
_HUB_FOLDERS = (("HF_HUB_CACHE", ""), ("HF_HOME", "hub"), ("XDG_CACHE_HOME", "huggingface/hub"))
"""Environment variables that place the hub's cache, in their order, and its folder below their value."""

NVIDIA_DRIVER = Path("/proc/driver/nvidia/version")


@dataclass(frozen=True)
class Accelerator:
    """`kind`: cuda, mps or none. `devices`: their names with their memory. `note`: why there is none."""

    kind: str
    devices: tuple[str, ...] = ()
    note: str = ""
    is_broken: bool = False
    """Whether torch is installed and cannot be imported."""


@dataclass(frozen=True)
class FolderSpace:
    """A folder for one purpose: free bytes of its disk, and why nothing can be written there, if so."""

    purpose: str
    path: str
    free: int | None
    fault: str | None = None


@dataclass(frozen=True)
class Machine:
    """Memory in bytes; None where the system does not say it. `keys`: names of variables that hold a secret."""

    cpus: int
    memory: int | None
    memory_available: int | None
    accelerator: Accelerator
    folders: tuple[FolderSpace, ...]
    proxies: dict[str, str]
    keys: tuple[str, ...]


def describe_machine(working: Path, environ: Mapping[str, str] = os.environ) -> Machine:
    """The machine as it is seen from the working folder."""
    total, available = memory_bytes()
    return Machine(
        cpus=usable_cpus(),
        memory=total,
        memory_available=available,
        accelerator=find_accelerator(),
        folders=(
            folder_space("working folder", working),
            temporary_folder(),
            folder_space("models of the hub", hub_cache(environ)),
        ),
        proxies=proxy_settings(environ),
        keys=secret_names(environ),
    )


def find_accelerator() -> Accelerator:
    """The device that torch would compute on; torch is imported only if it is installed."""
    if find_spec("torch") is None:
        return Accelerator("none", note="torch is not installed")
    try:
        import torch

        return accelerator_of(torch)
    except (
        Exception
    ) as fault:  # an installation of torch can fail in any way, such as a library that is missing
        kind = type(fault).__name__
        return Accelerator("none", note=f"torch is installed and cannot be used ({kind})", is_broken=True)


def accelerator_of(torch: Any, driver: Path = NVIDIA_DRIVER) -> Accelerator:
    """The accelerator that an imported torch finds."""
    if torch.cuda.is_available():
        properties = [torch.cuda.get_device_properties(number) for number in range(torch.cuda.device_count())]
        names = tuple(f"{each.name}, {size_text(each.total_memory)}" for each in properties)
        return Accelerator("cuda", names)
    if torch.backends.mps.is_available():
        return Accelerator("mps", ("Apple GPU",))
    if driver.exists():
        build = "is built for CPUs" if torch.version.cuda is None else "does not work with its driver"
        return Accelerator("none", note=f"there is an NVIDIA driver, but this torch {build}")
    return Accelerator("none", note="torch finds no GPU")


def folder_space(purpose: str, path: Path) -> FolderSpace:
    """Free space, and whether files can be written; of the nearest folder above, if the folder does not exist yet."""
    existing = next((folder for folder in (path, *path.absolute().parents) if folder.is_dir()), path)
    try:
        free = shutil.disk_usage(existing).free
        with tempfile.TemporaryFile(dir=existing) as file:
            file.write(b"x")
            file.flush()
    except OSError as error:
        return FolderSpace(purpose, str(path.absolute()), None, error.strerror or type(error).__name__)
    return FolderSpace(purpose, str(path.absolute()), free)


def temporary_folder() -> FolderSpace:
    """The folder for temporary files, or why there is none."""
    purpose = "temporary files"
    try:
        return folder_space(purpose, Path(tempfile.gettempdir()))
    except FileNotFoundError:  # none of the places that Python tries can be written
        return FolderSpace(
            purpose, os.environ.get("TMPDIR", "/tmp"), None, "no folder for them can be written"
        )


def hub_cache(environ: Mapping[str, str]) -> Path:
    """Where models are kept that are named by an id on the Hugging Face hub."""
    for name, below in _HUB_FOLDERS:
        if environ.get(name):
            return Path(environ[name]).expanduser() / below
    try:
        return Path.home() / ".cache/huggingface/hub"
    except RuntimeError as error:
        raise MentallamaError("this user has no home folder; set HF_HOME to a folder for models") from error


def proxy_settings(environ: Mapping[str, str]) -> dict[str, str]:
    """Variables that name a proxy -> their value without credentials."""
    names = sorted(name for name in environ if name.lower() in _PROXY_NAMES and environ[name])
    return {
        name: environ[name] if name.lower() == "no_proxy" else without_credentials(environ[name])
        for name in names
    }


def without_credentials(url: str) -> str:
    """A proxy's URL without user, password, path and query.

    >>> without_credentials("http://me:secret@proxy.example:3128/")
    'http://proxy.example:3128 (with credentials)'
    """
    scheme, separator, rest = url.partition("://")
    if not separator or not _SCHEME.fullmatch(scheme):
        scheme, separator, rest = "", "", url
    _, at, place = rest.rpartition("@")
    host = re.split(r"[/?#]", place)[0]
    return f"{scheme}{separator}{host}{' (with credentials)' if at else ''}"


def secret_names(environ: Mapping[str, str]) -> tuple[str, ...]:
    """Names of the set variables that hold an API key or a token, such as MENTALLAMA_API_KEY; never a value."""
    return tuple(sorted(name for name, value in environ.items() if value and _KEY_NAME.search(name)))
