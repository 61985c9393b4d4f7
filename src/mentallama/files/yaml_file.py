"""Read YAML that people write: recipes and task files.

Every scalar is read as the text that stands in the file; the schema that the content is validated against decides
whether it is a number, a switch or text. So `no`, `1` and `2024-05-01` are labels and ids where text is wanted, quoted
or not, and nothing has a value that the file does not show. Only an unquoted `null`, `~` or nothing is None.
"""

from __future__ import annotations

import codecs
import re
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import yaml

from mentallama.errors import DataError

KeyPath = tuple[str | int, ...]
"""Keys and indices of lists that lead to a value."""

MAX_BYTES = 1 << 20
"""Largest file: the largest task file that we ship has 11 kB."""
MAX_DEPTH = 40
"""Deepest nesting: recipes and task files need six levels."""
MAX_VALUES = 50_000
"""Most values in a file with its aliases written out; a few lines of aliases can stand for billions of values."""

_NULLS = ("", "~", "null", "Null", "NULL")
_STANDARD = "tag:yaml.org,2002:"
_ALLOWED_TAGS = {
    yaml.ScalarNode: ("str", "int", "float", "bool"),
    yaml.SequenceNode: ("seq",),
    yaml.MappingNode: ("map",),
}
"""Tags that say no more than the schema does."""
_MERGE_KEY = "<<"
_NO_TEXT = re.compile("[\\0\ud800-\udfff]")
_SWITCHES = {"true": True, "false": False}
_INTEGER = re.compile(r"[-+]?[0-9]+")
_NUMBER = re.compile(r"[-+]?([0-9]+(\.[0-9]*)?|\.[0-9]+)([eE][-+]?[0-9]{1,2})?")


class PlainText(str):
    """Text that stands in the file without quotation marks."""

    __slots__ = ()


@dataclass
class YamlDocument:
    """The content of a file, and the line of every key and list item in it."""

    content: Any
    lines: dict[KeyPath, int] = field(default_factory=dict)


class YamlError(ValueError):
    """A text is not YAML, or uses a part of YAML that is not read. `line` is None if no line is at fault."""

    def __init__(self, problem: str, line: int | None = None) -> None:
        self.problem, self.line = problem, line
        super().__init__(problem if line is None else f"line {line}: {problem}")


def read_yaml(path: Path) -> YamlDocument:
    """Read a file.

    Raises
    ------
    DataError
        It cannot be read or is not YAML; the message names the line.
    """
    try:
        with path.open("rb") as file:
            raw = file.read(MAX_BYTES + 1)
    except OSError as fault:
        raise DataError(f"cannot be read ({fault.strerror or type(fault).__name__})", path) from None
    if len(raw) > MAX_BYTES:
        raise DataError(f"larger than {MAX_BYTES // 1024:,} KiB, which no file of settings is", path)
    try:
        return parse_yaml(_decode(raw))
    except YamlError as fault:
        where = "" if fault.line is None else f", line {fault.line}"
        raise DataError(f"not a YAML file{where}: {fault.problem}", path) from None


def parse_yaml(text: str) -> YamlDocument:
    """Parse a text.

    Raises
    ------
    YamlError
        It is not YAML, holds a key twice, or uses tags, or nesting and aliases beyond all need.
    """
    try:
        root = _Composer(text).get_single_node()
    except yaml.MarkedYAMLError as fault:
        mark = fault.problem_mark or fault.context_mark
        raise YamlError(_problem(fault), mark.line + 1 if mark else None) from None
    except yaml.reader.ReaderError as fault:
        line = text.count("\n", 0, fault.position) + 1
        raise YamlError(f"the character U+{fault.character:04X} is not allowed", line) from None
    except (ValueError, OverflowError) as fault:  # an escape such as "\UFFFFFFFF", beyond the last character
        if isinstance(fault, YamlError):
            raise
        raise YamlError("an escape in a quoted text stands for no character") from None
    document = YamlDocument(None)
    if root is not None:
        document.content = _Builder(document.lines).build(root, ())
    return document


def json_values(value: Any) -> Any:
    """Give plain text the type that JSON would give it: for keys whose values no schema describes.

    >>> json_values({"top_p": PlainText("0.9"), "stop": "1", "logprobs": PlainText("true")})
    {'top_p': 0.9, 'stop': '1', 'logprobs': True}
    """
    if isinstance(value, dict):
        return {key: json_values(item) for key, item in value.items()}
    if isinstance(value, list):
        return [json_values(item) for item in value]
    if not isinstance(value, PlainText):
        return value
    if value.lower() in _SWITCHES:
        return _SWITCHES[value.lower()]
    if _INTEGER.fullmatch(value) and len(value) < 20:
        return int(value)
    return float(value) if _NUMBER.fullmatch(value) else str(value)


def _decode(raw: bytes) -> str:
    utf_16 = raw.startswith((codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE))
    try:
        return raw.decode("utf-16" if utf_16 else "utf-8-sig")
    except UnicodeDecodeError as fault:
        line = None if utf_16 else raw.count(b"\n", 0, fault.start) + 1
        raise YamlError("save it as UTF-8", line) from None


def _problem(fault: yaml.MarkedYAMLError) -> str:
    """The parser's sentence, and what helps with a tab."""
    problem = " ".join((fault.problem or fault.context or "it cannot be parsed").split())
    return f"{problem}; indent with spaces" if r"'\t'" in problem else problem


class _Composer(yaml.BaseLoader):
    """Composes nodes to a limited depth; the tag of a node is empty unless the file spells it."""

    def __init__(self, text: str) -> None:
        super().__init__(text)
        self.depth = 0

    def resolve(self, *_: Any) -> str:
        return ""

    def compose_node(self, parent: yaml.Node | None, index: Any) -> yaml.Node | None:
        if self.depth == MAX_DEPTH:
            line = self.peek_event().start_mark.line + 1  # type: ignore[no-untyped-call]
            raise YamlError(f"nested more than {MAX_DEPTH} levels deep", line)
        self.depth += 1
        node = super().compose_node(parent, index)
        self.depth -= 1
        return node


class _Builder:
    """Makes dictionaries, lists and texts of nodes, and notes their lines."""

    def __init__(self, lines: dict[KeyPath, int]) -> None:
        self.lines = lines
        self.unfinished: set[int] = set()
        self.values = 0

    def build(self, node: yaml.Node, path: KeyPath) -> Any:
        line = _line(node)
        self.values += 1
        if self.values > MAX_VALUES:
            raise YamlError(f"more than {MAX_VALUES:,} values, with every alias written out", line)
        if id(node) in self.unfinished:
            raise YamlError("an alias stands inside the value that it repeats", line)
        _check_tag(node)
        self.lines.setdefault(path, line)
        if isinstance(node, yaml.ScalarNode):
            return _scalar(node)
        self.unfinished.add(id(node))
        if isinstance(node, yaml.MappingNode):
            built: Any = self._mapping(node, path)
        else:
            built = [self.build(item, (*path, number)) for number, item in enumerate(node.value)]
        self.unfinished.remove(id(node))
        return built

    def _mapping(self, node: yaml.MappingNode, path: KeyPath) -> dict[str, Any]:
        """A mapping's own keys, and those of mappings merged by `<<` that it does not have itself."""
        first_lines: dict[str, int] = {}
        own: dict[str, Any] = {}
        merged: list[yaml.Node] = []
        for key_node, value_node in node.value:
            key, line = _key(key_node), _line(key_node)
            if key in first_lines:
                raise YamlError(
                    f"the key {key!r} is in line {first_lines[key]} already; keep one of the two", line
                )
            first_lines[key] = line
            if key == _MERGE_KEY and key_node.style is None:
                merged = value_node.value if isinstance(value_node, yaml.SequenceNode) else [value_node]
            else:
                self.lines.setdefault((*path, key), line)
                own[key] = self.build(value_node, (*path, key))
        return self._merge(merged, path) | own

    def _merge(self, nodes: list[yaml.Node], path: KeyPath) -> dict[str, Any]:
        """The keys of several mappings; where two have the same key, the first counts."""
        merged: dict[str, Any] = {}
        for node in nodes:
            if not isinstance(node, yaml.MappingNode):
                raise YamlError("<< takes a mapping, or a list of mappings", _line(node))
            merged = self.build(node, path) | merged
        return merged


def _line(node: yaml.Node) -> int:
    return int(node.start_mark.line) + 1


def _check_tag(node: yaml.Node) -> None:
    tag = node.tag.removeprefix(_STANDARD)
    if tag and tag not in _ALLOWED_TAGS[type(node)]:
        raise YamlError(
            f"the tag {'!!' if tag != node.tag else ''}{tag} is not read; write the plain value", _line(node)
        )


def _key(node: yaml.Node) -> str:
    if not isinstance(node, yaml.ScalarNode) or not node.value:
        raise YamlError("a key must be text", _line(node))
    _check_tag(node)
    return _text(node)


def _scalar(node: yaml.ScalarNode) -> str | None:
    if node.style is not None or node.tag == f"{_STANDARD}str":
        return _text(node)
    return None if node.value in _NULLS else PlainText(node.value)


def _text(node: yaml.ScalarNode) -> str:
    """The text of a scalar, in which escapes may stand for what no file name and no UTF-8 file can hold."""
    value = str(node.value)
    if _NO_TEXT.search(value):
        raise YamlError("an escape stands for NUL or half a character", _line(node))
    return value
