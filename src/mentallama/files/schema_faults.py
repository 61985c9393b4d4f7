"""Sentences for what a schema finds wrong in a file that people write: the key as the file spells it, and its line."""

from __future__ import annotations

from collections.abc import Callable, Container, Mapping
from pathlib import Path
from typing import Any, Literal, TypeVar, get_args, get_origin

from pydantic import BaseModel, ValidationError

from mentallama.errors import DataError, on_one_line
from mentallama.files.yaml_file import KeyPath, read_yaml
from mentallama.text.suggestions import did_you_mean

_SENTENCES = {
    "missing": "is missing",
    "string_type": "should be text",
    "path_type": "should be a path",
    "bool_type": "should be true or false",
    "bool_parsing": "should be true or false",
    "int_type": "should be a whole number",
    "int_parsing": "should be a whole number",
    "int_parsing_size": "should be a smaller number",
    "int_from_float": "should be a whole number",
    "float_type": "should be a number",
    "float_parsing": "should be a number",
    "finite_number": "should be a finite number",
    "list_type": "should be a list, such as [a, b]",
    "tuple_type": "should be a list, such as [a, b]",
    "dict_type": "should be a mapping, with lines of the form key: value",
    "model_type": "should be a mapping, with lines of the form key: value",
    "model_attributes_type": "should be a mapping, with lines of the form key: value",
    "literal_error": "should be {expected}",
    "greater_than": "should be greater than {gt}",
    "greater_than_equal": "should be at least {ge}",
    "less_than": "should be less than {lt}",
    "less_than_equal": "should be at most {le}",
    "too_short": "should have at least {min_length} entries, not {actual_length}",
    "too_long": "should have at most {max_length} entries",
    "string_too_short": "should not be empty",
}
"""By pydantic's type of error; any other error keeps pydantic's message."""

MAX_FAULT_CHARS = 1000
"""Length of a sentence, which may repeat a key or a value of any length."""

Locate = Callable[[KeyPath], str | None]
"""Key path -> where its value was written, such as `line 3`; None if that is not known."""


def fault_sentences(
    invalid: ValidationError,
    content: Any,
    schema: type[BaseModel],
    locate: Locate,
    renamed: Callable[[KeyPath], str | None] = lambda _: None,
) -> list[str]:
    """One sentence for every key at fault, in the order of the schema.

    Parameters
    ----------
    content
        The value that was validated; its keys are those that the user wrote.
    renamed
        Key path -> the present name of a key that was renamed.
    """
    errors = [(_written_path(error, content), error) for error in invalid.errors(include_url=False)]
    at_fault = {path for path, _ in errors}
    inside = {path[:length] for path in at_fault for length in range(len(path))}
    by_path: dict[KeyPath, list[str]] = {}
    for path, error in errors:
        if path in inside and error["type"] not in _ABOUT_THE_WHOLE:
            continue  # follows from the fault inside, such as a list that is too short without its wrong entry
        sentence = _sentence(path, error, schema, renamed)
        known = by_path.setdefault(path, [])
        if sentence not in known:
            known.append(sentence)
    return [fault_sentence(path, ", or ".join(found), locate) for path, found in by_path.items()]


_ABOUT_THE_WHOLE = ("value_error",)


def fault_sentence(path: KeyPath, problem: str, locate: Locate) -> str:
    """`key: problem (place)`, with the place of the key or of the nearest key around it."""
    places = (locate(path[:length]) for length in range(len(path), 0, -1))
    place = next((place for place in places if place is not None), None)
    named = f"{key_name(path)}: {problem}" if path else problem
    if len(named) > MAX_FAULT_CHARS:
        named = f"{named[:MAX_FAULT_CHARS]}…"
    return on_one_line(named if place is None else f"{named} ({place})")


def key_name(path: KeyPath) -> str:
    """A key as messages and `--set` spell it.

    >>> key_name(("teach", "teacher", 0, "spec"))
    'teach.teacher[0].spec'
    """
    return "".join(f"[{part}]" if isinstance(part, int) else f".{part}" for part in path).removeprefix(".")


def _written_path(error: Mapping[str, Any], content: Any) -> KeyPath:
    """The part of an error's location that exists in the content: pydantic adds the kinds of unions to it."""
    path: KeyPath = ()
    value = content
    for part in error["loc"]:
        keys: Container[Any] = range(len(value)) if isinstance(value, (list, tuple)) else value
        if isinstance(value, (list, tuple, dict)) and part in keys:
            path, value = (*path, part), value[part]
    return (*path, error["loc"][-1]) if error["type"] == "missing" else path


def _sentence(
    path: KeyPath, error: Mapping[str, Any], schema: type[BaseModel], renamed: Callable[[KeyPath], str | None]
) -> str:
    if error["type"] == "extra_forbidden":
        known = _known_keys(error["loc"][:-1], schema)
        now = renamed(path)
        return (
            f"no such key; {f'did you mean {now}?' if now in known else did_you_mean(str(path[-1]), known)}"
        )
    context = error.get("ctx", {})
    if error["type"] == "too_short" and context["min_length"] == 1:
        return "should not be empty"
    template = _SENTENCES.get(error["type"])
    return template.format(**context) if template else error["msg"].removeprefix("Value error, ")


def _known_keys(loc: KeyPath, schema: type[BaseModel]) -> list[str]:
    """The keys that exist at a location of an error."""
    schemas: list[type[BaseModel]] = [schema]
    for part in loc:
        fields = [each.model_fields[part] for each in schemas if part in each.model_fields]
        if fields:
            schemas = [inner for one in fields for inner in _schemas_within(one.annotation)]
        else:  # the index of a list, a name in a mapping, or the kind that chooses one schema of a union
            schemas = [each for each in schemas if _has_kind(each, part)] or schemas
    return list(dict.fromkeys(name for each in schemas for name in each.model_fields))


def _schemas_within(annotation: Any) -> list[type[BaseModel]]:
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        return [annotation]
    return [schema for argument in get_args(annotation) for schema in _schemas_within(argument)]


def _has_kind(schema: type[BaseModel], kind: str | int) -> bool:
    literals = (
        one.annotation for one in schema.model_fields.values() if get_origin(one.annotation) is Literal
    )
    return any(kind in get_args(literal) for literal in literals)


ModelT = TypeVar("ModelT", bound=BaseModel)


def read_yaml_model(path: Path, model: type[ModelT], name: str) -> ModelT:
    """Read a YAML file that describes one model, which is called `name` in errors, such as "task".

    Raises
    ------
    DataError
        The file is not YAML, or does not fit the model; the message lists every error with its line.
    """
    document = read_yaml(path)

    def locate(key: KeyPath) -> str | None:
        return f"line {document.lines[key]}" if key in document.lines else None

    try:
        return model.model_validate(document.content)
    except ValidationError as invalid:
        faults = fault_sentences(invalid, document.content, model, locate)
        raise DataError(f"not a {name}: {'; '.join(faults)}", path) from None
