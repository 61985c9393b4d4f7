"""YAML that people write: texts as they stand in the file, lines, and one sentence for everything that is refused."""

from __future__ import annotations

import codecs
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mentallama.errors import DataError
from mentallama.files.yaml_file import MAX_BYTES, YamlError, json_values, parse_yaml, read_yaml


@pytest.mark.parametrize(
    "text",
    ["no", "Yes", "on", "OFF", "y", "1", "007", "1e3", "0x1F", "0o17", "1_000", "190:20:30", "2024-05-01",
     "2024-13-45", "3.10", ".5", ".inf", ".nan", "-", "=", "a: b"],
)  # fmt: skip
def test_a_scalar_is_the_text_in_the_file(text: str) -> None:
    quoted = f'"{text}"'
    assert parse_yaml(f"- {quoted}").content == [text]
    if text not in {"-", "a: b"}:  # these are punctuation unless quoted
        assert parse_yaml(f"{{{text}: {text}}}").content == {text: text}
        assert parse_yaml(f"- {text}").content == [text]


def test_only_unquoted_nulls_are_none() -> None:
    text = "[null, ~, Null, 'null', \"~\", nil, none, '', !!str null]"
    assert parse_yaml(text).content == [None, None, None, "null", "~", "nil", "none", "", "null"]
    assert parse_yaml("a:\n").content == {"a": None}
    assert parse_yaml("null: 1\n~: 2\n").content == {"null": "1", "~": "2"}
    assert parse_yaml("# nothing\n").content is None


def test_every_key_and_item_has_its_line() -> None:
    document = parse_yaml("a: 1\nb:\n  - x\n  - c:\n      d: 2\n")
    assert document.lines == {
        (): 1, ("a",): 1, ("b",): 2, ("b", 0): 3, ("b", 1): 4, ("b", 1, "c"): 4, ("b", 1, "c", "d"): 5,
    }  # fmt: skip


MERGE = """\
one: &one {file: a, codes: {x: 1}}
two: &two {file: b, split: test}
both: {<<: [*one, *two], codes: {y: 2}}
"<<": text
"""


def test_a_merged_mapping_gives_way_to_own_keys_and_to_earlier_ones() -> None:
    document = parse_yaml(MERGE)
    assert document.content["both"] == {"file": "a", "split": "test", "codes": {"y": "2"}}
    assert document.content["<<"] == "text"
    assert document.lines["both", "codes"] == 3
    assert document.lines["both", "split"] == 2


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        ("a: 1\nb: 2\na: 3\n", "line 3: the key 'a' is in line 1 already"),
        ("x:\n  - {a: 1,\n     a: 2}\n", "line 3: the key 'a' is in line 2 already"),
        ("1: a\n'1': b\n", "line 2: the key '1' is in line 1 already"),
        ("o: &o {a: 1}\np:\n  <<: *o\n  <<: *o\n", "line 4: the key '<<' is in line 3 already"),
        ("o: 1\np:\n  <<: 5\n", "line 3: << takes a mapping"),
        ("a: &a\n  b: *a\n", "an alias stands inside the value that it repeats"),
        ("a: &a\n  <<: *a\n", "an alias stands inside the value that it repeats"),
        ("a: *b\n", "line 1: found undefined alias 'b'"),
        ("a: 1\nb: !!binary aGk=\n", "line 2: the tag !!binary is not read"),
        ("a: !!timestamp 2024-13-01\n", "line 1: the tag !!timestamp is not read"),
        ("!!set {a}\n", "line 1: the tag !!set is not read"),
        ("!!python/name:os.system a: 1\n", "line 1: the tag !!python/name:os.system is not read"),
        ("a: !mine b\n", "line 1: the tag !mine is not read"),
        ("a: !!int [1]\n", "line 1: the tag !!int is not read"),
        ("a:\n\tb: 1\n", "line 2: found character '\\t' that cannot start any token; indent with spaces"),
        ("? [a]\n: b\n", "line 1: a key must be text"),
        ("a: {{b}}\n", "line 1: a key must be text"),
        ('"": b\n', "line 1: a key must be text"),
        ('a: "\\UFFFFFFFF"\n', "an escape in a quoted text stands for no character"),
        ('a: "\\0"\n', "line 1: an escape stands for NUL"),
        ('"\\uD83D": 1\n', "line 1: an escape stands for NUL or half a character"),
        ("a: 1\n---\nb: 2\n", "line 2: but found another document"),
        ("a: [1\n", "line 2: expected ',' or ']', but got '<stream end>'"),
        ("a: 1\nb: \0\n", "line 2: the character U+0000 is not allowed"),
        ("a: " + "[" * 500, "line 1: nested more than 40 levels deep"),
        ("a: " + "{a: " * 500, "line 1: nested more than 40 levels deep"),
        ("\n".join(f"{' ' * n}k:" for n in range(500)), "line 40: nested more than 40 levels deep"),
    ],
)  # fmt: skip
def test_what_is_refused_is_said_with_its_line(text: str, problem: str) -> None:
    with pytest.raises(YamlError) as fault:
        parse_yaml(text)
    assert problem in str(fault.value)
    assert "\n" not in str(fault.value)


def test_tags_that_repeat_what_the_schema_says_leave_the_text() -> None:
    text = "!!map {a: !!int '', b: !!str 1, c: !!float 1e3, d: !!bool yes, e: !!seq []}"
    assert parse_yaml(text).content == {"a": "", "b": "1", "c": "1e3", "d": "yes", "e": []}


def test_a_few_lines_of_aliases_do_not_become_a_billion_values() -> None:
    lines = ["a0: &a0 [x, x, x, x, x, x, x, x, x, x]"]
    lines += [f"a{n}: &a{n} [{', '.join([f'*a{n - 1}'] * 10)}]" for n in range(1, 10)]
    with pytest.raises(YamlError, match="more than 50,000 values"):
        parse_yaml("\n".join(lines))


def test_plain_text_below_a_key_without_a_schema_is_read_as_json_would_be() -> None:
    content = parse_yaml(
        "{a: 1, b: '1', c: 1.5, d: true, e: null, f: [False, -2], g: {h: 1e2}, i: no}"
    ).content
    assert json_values(content) == {
        "a": 1, "b": "1", "c": 1.5, "d": True, "e": None, "f": [False, -2], "g": {"h": 100.0}, "i": "no",
    }  # fmt: skip


@pytest.mark.parametrize(
    "raw",
    [codecs.BOM_UTF8 + "a: é".encode(), codecs.BOM_UTF16_LE + "a: é".encode("utf-16-le"),
     codecs.BOM_UTF16_BE + "a: é".encode("utf-16-be")],
)  # fmt: skip
def test_a_byte_order_mark_tells_the_encoding(raw: bytes, tmp_path: Path) -> None:
    (tmp_path / "x.yaml").write_bytes(raw)
    assert read_yaml(tmp_path / "x.yaml").content == {"a": "é"}


@pytest.mark.parametrize(
    ("raw", "problem"),
    [
        (b"a: 1\nb: \xff\n", "not a YAML file, line 2: save it as UTF-8"),
        (codecs.BOM_UTF16_LE + b"\x00\xd8a", "not a YAML file: save it as UTF-8"),
        ("a: b".encode("utf-16-le"), "line 1: the character U+0000 is not allowed"),
        (b"\x7fELF\x02\x01\x01\x00\x00", "not a YAML file, line 1"),
        (b"#" * (MAX_BYTES + 1), "larger than 1,024 KiB"),
    ],
)
def test_an_unreadable_file_is_one_sentence(raw: bytes, problem: str, tmp_path: Path) -> None:
    (tmp_path / "x.yaml").write_bytes(raw)
    with pytest.raises(DataError) as fault:
        read_yaml(tmp_path / "x.yaml")
    assert str(fault.value).startswith(f"{tmp_path / 'x.yaml'}: ")
    assert problem in str(fault.value)


def test_a_folder_is_no_file(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="cannot be read"):
        read_yaml(tmp_path)


@given(st.text(alphabet="ab01 :-[]{}&*!<?|>'\"%@`#,.\n\t~=é\0", max_size=60) | st.text(max_size=40))
def test_any_text_is_read_or_refused_in_one_line(text: str) -> None:
    problem = ""
    try:
        parse_yaml(text)
    except YamlError as fault:
        problem = str(fault)
    assert "\n" not in problem


@given(st.binary(max_size=60))
def test_any_bytes_are_read_or_refused_with_the_file(
    tmp_path_factory: pytest.TempPathFactory, raw: bytes
) -> None:
    path = tmp_path_factory.mktemp("yaml") / "x.yaml"
    path.write_bytes(raw)
    problem = f"{path}: "
    try:
        read_yaml(path)
    except DataError as fault:
        problem = str(fault)
    assert problem.startswith(f"{path}: ")
