"""Overrides of a recipe's keys: `--set KEY=VALUE` of the command line, and those of `mentallama.run`."""

from __future__ import annotations

import re
from typing import Any

from mentallama.errors import UsageError, on_one_line
from mentallama.files.schema_faults import key_name
from mentallama.files.yaml_file import KeyPath, YamlError, parse_yaml

_PART = re.compile(r"(?P<key>[^.\[\]]+)(?P<indices>(\[[0-9]{1,4}\])*)")


def apply_override(content: dict[str, Any], override: str) -> KeyPath:
    """Apply `a.b[0].c=value` to a recipe's content and return the path of the key.

    Keys that do not exist are added; the value is YAML.

    Raises
    ------
    UsageError
        It has another form, or leads through a value that holds no such keys.
    """
    name, equals, value = override.partition("=")
    written = f"--set {override}"
    if not equals or not _key_path(name):
        raise _error(written, "write it as key=value, for example collect.leak_guard=run")
    if not value.strip():
        raise _error(written, "nothing follows the =; write null for no value")
    try:
        new = parse_yaml(value).content
    except YamlError:
        raise _error(written, "what follows the = is not YAML") from None
    return set_key(content, name, new, written)


def set_key(content: dict[str, Any], name: str, value: Any, written: str) -> KeyPath:
    """Set the key `a.b[0].c` of a recipe's content, and return its path; `written` names the override in errors.

    Raises
    ------
    UsageError
        It is no name of a key, or leads through a value that holds no such keys.
    """
    path = _key_path(name)
    if not path:
        raise _error(written, "name a key of the recipe, for example collect.leak_guard")
    parent: Any = content
    for depth, part in enumerate(path[:-1]):
        child = _item(parent, part, path[:depth], written)
        if child is None:
            child = parent[part] = {}
        parent = child
    _item(parent, path[-1], path[:-1], written)
    parent[path[-1]] = value
    return path


def _key_path(name: str) -> KeyPath:
    """`a.b[0]` as a path; empty if the name has another form."""
    parts = [_PART.fullmatch(part) for part in name.split(".")]
    path: list[str | int] = []
    for part in parts:
        if part is None:
            return ()
        path += [part["key"], *map(int, re.findall(r"[0-9]+", part["indices"]))]
    return tuple(path)


def _item(value: Any, part: str | int, path: KeyPath, written: str) -> Any:
    """The value of a key or list item, or None if there is no such key."""
    if isinstance(part, str) and isinstance(value, dict):
        return value.get(part)
    if isinstance(part, int) and isinstance(value, list) and part < len(value):
        return value[part]
    lacks = "keys" if isinstance(part, str) else f"item [{part}]"
    raise _error(written, f"{key_name(path)} holds no {lacks}")


def _error(written: str, problem: str) -> UsageError:
    return UsageError(on_one_line(f"{written}: {problem}"))
