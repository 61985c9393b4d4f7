"""Guards for optional libraries: a clear error if one is missing, otherwise no telemetry and no console output."""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator
from importlib.util import find_spec

from mentallama.errors import UsageError
from mentallama.extras import install_hint

EXTRAS = {
    "torch": "train",
    "transformers": "train",
    "peft": "train",
    "bitsandbytes": "train",
    "pyarrow": "parquet",
    "ray": "ray",
    "tensorboard": "tensorboard",
    "vllm": "vllm",
}
"""Optional library, by import name -> the extra of this package that installs it."""

QUIET_ENV = {
    "HF_HUB_DISABLE_TELEMETRY": "1",
    "HF_HUB_DISABLE_PROGRESS_BARS": "1",
    "HF_HUB_DISABLE_SYMLINKS_WARNING": "1",
    "DO_NOT_TRACK": "1",
    "TOKENIZERS_PARALLELISM": "false",  # tokenizers warn, and may deadlock, in processes that fork
    "BITSANDBYTES_NOWELCOME": "1",
}
"""Environment variables that are set before the libraries are imported."""


def missing_libraries(user: str, libraries: Iterable[str]) -> Iterator[str]:
    """A sentence with the command that installs them, if libraries that `user` needs are not installed."""
    missing = [name for name in libraries if find_spec(name) is None]
    if missing:
        extras = ",".join(dict.fromkeys(EXTRAS[name] for name in missing))
        names = " and ".join(missing)
        yield f"{user} needs {names}: {install_hint(extras)}"


def require_torch() -> None:
    """Call before torch or transformers is imported.

    Raises
    ------
    UsageError
        One of them is not installed.
    """
    _require("a neural model", ("torch", "transformers"))
    for name, value in QUIET_ENV.items():
        os.environ.setdefault(name, value)
    from transformers.utils import logging

    logging.set_verbosity_error()
    logging.disable_progress_bar()


def require_peft() -> None:
    """Call before peft is imported; raises `UsageError` if it is not installed."""
    _require("an adapter", ("peft",))


def _require(user: str, libraries: Iterable[str]) -> None:
    for problem in missing_libraries(user, libraries):
        raise UsageError(problem)
