"""Interpretable mental-health analysis of social-media posts: a label and the reason for it.

For research, never for diagnosis.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

__version__ = "0.1.0"

if TYPE_CHECKING:
    from mentallama.analysts.registry import open_analyst
    from mentallama.answers.format import write_answer
    from mentallama.answers.parse import read_answer
    from mentallama.tasks import load_tasks

__all__ = ["load_tasks", "open_analyst", "read_answer", "write_answer"]

_MODULES = {
    "load_tasks": "mentallama.tasks",
    "open_analyst": "mentallama.analysts.registry",
    "read_answer": "mentallama.answers.parse",
    "write_answer": "mentallama.answers.format",
}


def __getattr__(name: str) -> Any:
    """Import a public name on first use, so that importing the package loads nothing."""
    if name not in _MODULES:
        raise AttributeError(f"module 'mentallama' has no attribute {name!r}")
    from importlib import import_module

    return getattr(import_module(_MODULES[name]), name)
