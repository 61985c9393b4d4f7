"""The sentence of a server about a failure, without anything of the request, so that it is safe to show.

Servers repeat requests in their errors, whole or in part, and so does our own library for HTTP. A word of the message
is shown only if it does not occur in the text that was sent; words of the protocol always are. Whatever resembles the
key, a link, an address or a long random word is removed.
"""

from __future__ import annotations

import html
import json
import re
from collections.abc import Iterator
from typing import Any

MAX_CHARS = 240
"""Longest message that is shown, in characters."""

MAX_INPUT_CHARS = 4000
"""Characters of the server's message that are looked at."""

REMOVED = "[…]"

_PROTOCOL_WORDS = frozenset(
    """
    a access after all allowed alternate alternating an and any api are argument array as assistant at
    authentication available bad be been before between billing body but by can cannot chat code completion
    completions configured content contents context conversation could credit default developer did do does does's
    doesn't don't each echo empty enabled endpoint entity error errors exceed exceeded exceeds exception exist
    exists expected failed field fields first for format found from function gateway given got greater had has have
    if in input inputs instead instruction integer internal invalid is it its json json_object json_schema key
    larger last least length less limit list loading logprobs long longer max max_completion_tokens max_new_tokens
    max_tokens maximum may message messages min minimum missing model models more most must n name no not null
    number object of on only or output parameter parameters parse permission plan please prompt property provide
    provided provider quota range rate reached received reduce request requested requests require required requires
    response response_format role roles schema seed server service set should size status stop stream string such
    supplied support supported supports system temperature template text than that the then there these this to
    token tokens too tool top_k top_p type unable unexpected unknown unsupported upstream use used user using valid
    value values version was what when which will window with without you your
    """.split()  # noqa: SIM905 - a list of strings would be two hundred lines
)
"""Words of the protocol and of its errors, shown even if the request contains them too."""

_SECRET_FORM = re.compile(
    r"(?:[a-z][a-z+.-]*://|www\.)\S+"  # a link, with whatever its query holds
    r"|\S+@\S+"
    r"|\b(?:bearer|basic)\s+\S+"
    r"|\b(?:api[ _-]?key|authorization|token|secret|password)\b\s*(?:provided|given|is)?\s*[:=]\s*\S+"
    r"|\S*(?:\*{2,}|•{2,}|x{4,}|\.{3}|…)\S*",  # a key masked in part
    re.IGNORECASE,
)
_WORD = re.compile(r"[^\W_](?:[\w'’.-]*\w)?")
_RANDOM = re.compile(r"(?=\S*\d)(?=\S*[A-Za-z])[\w+/=-]{12,}|\S{40,}", re.ASCII)
_KEY_GRAM = 4
"""A word that shares this many characters in a row with the key is removed."""


def safe_message(message: str, payload: bytes, key: str | None) -> str:
    """The message without the key and without any word of the request that `payload` holds.

    Parameters
    ----------
    message
        The server's sentence.
    payload
        The encoded request body.
    key
        The API key that was sent, if any.

    Examples
    --------
    >>> body = b'{"messages": [{"role": "user", "content": "The rent is due."}]}'
    >>> safe_message("Cannot parse 'The rent is due.': model busy", body, None)
    "Cannot parse 'The […] is […].': model busy"
    >>> safe_message("Incorrect API key provided: sk-ab****yz.", body, "sk-abcdwxyz")
    'Incorrect […]'
    """
    sent = _sent_text(payload)
    text = html.unescape(message[:MAX_INPUT_CHARS])
    if "\\u" in text or "\\n" in text:
        text = re.sub(r"\\u([0-9a-fA-F]{4})", lambda match: chr(int(match[1], 16)), text).replace("\\n", " ")
    text = " ".join("".join(char if char.isprintable() else " " for char in text).split())
    text = _SECRET_FORM.sub(REMOVED, text)
    text = _WORD.sub(
        lambda word: REMOVED if _is_private(word[0], sent, (key or "").lower()) else word[0], text
    )
    text = re.sub(rf"{re.escape(REMOVED)}(?:[^\w\[]{{0,3}}{re.escape(REMOVED)})+", REMOVED, text)
    return text if len(text) <= MAX_CHARS else text[: MAX_CHARS - 1].rstrip() + "…"


def safe_code(code: str, payload: bytes, key: str | None) -> str | None:
    """An identifier such as `rate_limit_exceeded`; None if it repeats the key or a word of the request."""
    is_private = safe_message(code, payload, key) != code
    return None if is_private else code


def _is_private(word: str, sent: str, key: str) -> bool:
    lowered = word.casefold()
    if key and _shares_characters(lowered, key):
        return True
    if lowered in _PROTOCOL_WORDS or (lowered.isascii() and len(lowered) <= 2 and not lowered.isdigit()):
        return False
    return bool(_RANDOM.fullmatch(word)) or lowered in sent


def _shares_characters(word: str, key: str) -> bool:
    if len(key) < _KEY_GRAM:
        return word == key
    return any(word[start : start + _KEY_GRAM] in key for start in range(len(word) - _KEY_GRAM + 1))


def _sent_text(payload: bytes) -> str:
    """All text of the request's prompt, in lower case."""
    try:
        body = json.loads(payload) if payload else {}
    except ValueError:
        return payload.decode("utf-8", "replace").casefold()
    prompt = [body.get(name) for name in ("messages", "prompt")] if isinstance(body, dict) else body
    return " ".join(" ".join(_strings(prompt)).split()).casefold()


def _strings(value: Any) -> Iterator[str]:
    if isinstance(value, str):
        yield value
    elif isinstance(value, dict):
        yield from (text for item in value.values() for text in _strings(item))
    elif isinstance(value, list):
        yield from (text for item in value for text in _strings(item))
