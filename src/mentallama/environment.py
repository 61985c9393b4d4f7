"""How a result was computed, in words: the machine and the command. Nothing here identifies the user."""

from __future__ import annotations

import os
import platform
import re
import shlex
import sys
from collections.abc import Sequence
from pathlib import Path, PurePath

from mentallama.errors import counted

SECRET_NAME_PARTS = ("salt", "secret", "token", "password", "api_key")
"""Values under names with these parts are not shown: with the salt, a hashed author can be identified."""
NOT_SHOWN = "not shown"

CGROUP_LIMIT = Path("/sys/fs/cgroup/memory.max")
"""Memory that a container may use, in bytes, or `max`."""


def shareable_text(value: object) -> str:
    """A value as text; of an absolute path only the last part, as the rest may identify the user.

    >>> shareable_text("/home/me/imhi"), shareable_text(0.5)
    ('imhi', '0.5')
    """
    text = str(value)
    return PurePath(text).name if PurePath(text).is_absolute() else text


def is_secret_name(name: str) -> bool:
    """Whether a setting's value is not shown."""
    return any(part in name.lower() for part in SECRET_NAME_PARTS)


def command_in_words(argv: Sequence[str]) -> str | None:
    """The command line that can be shared; None if the program is not the command `mentallama`.

    >>> command_in_words(["/usr/bin/mentallama", "run", "/home/me/a.yaml", "--set", "collect.author_salt=pepper"])
    "mentallama run a.yaml --set 'collect.author_salt=not shown'"
    """
    program = Path(argv[0])
    if "mentallama" not in {program.stem, program.parent.name}:
        return None
    return " ".join(["mentallama", *(shlex.quote(_shareable_argument(word)) for word in argv[1:])])


def _shareable_argument(word: str) -> str:
    name, equals, value = word.partition("=")
    if not equals:
        return shareable_text(word)
    return f"{name}={NOT_SHOWN if is_secret_name(name) else shareable_text(value)}"


def machine_in_words() -> str:
    """Processor, cores, memory and accelerator of this machine.

    The accelerator is known only if PyTorch has been imported: importing it here would take seconds.
    """
    cores, (memory, _) = usable_cpus(), memory_bytes()
    parts = [
        _processor(),
        counted(cores, "core"),
        *([] if memory is None else [f"{size_text(memory)} of memory"]),
        *_accelerators(),
    ]
    return ", ".join(parts)


def usable_cpus() -> int:
    """Processors that this process may use, which can be fewer than the machine has."""
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1


def memory_bytes(limit_file: Path = CGROUP_LIMIT) -> tuple[int | None, int | None]:
    """Memory in all and available, in bytes; at most what a container may use."""
    page, total, available = (_sysconf(name) for name in ("SC_PAGE_SIZE", "SC_PHYS_PAGES", "SC_AVPHYS_PAGES"))
    limit = _container_limit(limit_file)
    sizes = [page * pages if page and pages else None for pages in (total, available)]
    first, second = (min(size, limit) if size and limit else size for size in sizes)
    return first, second


def size_text(size: int) -> str:
    """Bytes in decimal units.

    >>> size_text(85_899_345_920), size_text(512_000_000)
    ('85.9 GB', '0.5 GB')
    """
    return f"{size / 1e9:,.1f} GB"


def _sysconf(name: str) -> int | None:
    try:
        value = os.sysconf(name)
    except (AttributeError, ValueError, OSError):  # Windows; a name that this system lacks
        return None
    return value if value > 0 else None


def _container_limit(path: Path) -> int | None:
    try:
        text = path.read_text(encoding="ascii").strip()
    except (OSError, UnicodeDecodeError):
        return None
    return int(text) if text.isdecimal() else None


def _processor() -> str:
    """The processor's name as the system gives it, else its architecture."""
    info = Path("/proc/cpuinfo")
    text = info.read_text(encoding="utf-8") if info.is_file() else ""
    name = re.search(r"^model name\s*: (.+)$", text, re.MULTILINE)
    return " ".join(name[1].split()) if name else platform.processor() or platform.machine()


def _accelerators() -> list[str]:
    """The name of the GPU that PyTorch sees, with their number if there are several."""
    torch = sys.modules.get("torch")
    if torch is None or not torch.cuda.is_available():
        return []
    count, name = torch.cuda.device_count(), torch.cuda.get_device_name(0)
    return [name if count == 1 else f"{count} x {name}"]
