"""A teacher's spec `remote:MODEL@URL` made into an endpoint that can be asked."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from urllib.parse import urlsplit

from mentallama.config import Teacher
from mentallama.errors import UsageError

CHAT_PATH, COMPLETIONS_PATH = "/chat/completions", "/completions"
"""What is asked for: an answer to a message, or what follows a text."""


@dataclass(frozen=True)
class Endpoint:
    """A model behind an OpenAI-compatible API, and the terms on which it is asked. The key is in no repr."""

    model: str
    base_url: str
    """The base of the API, as http://127.0.0.1:8000/v1."""
    settings: Teacher
    api_key: str | None = field(default=None, repr=False)
    path: str = CHAT_PATH

    @property
    def host(self) -> str:
        """Host and port, for sentences."""
        return urlsplit(self.base_url).netloc

    @property
    def request_url(self) -> str:
        """Where the model is asked; a query of the base (Azure's api-version) stays behind the path."""
        base = urlsplit(self.base_url)
        return base._replace(path=base.path.rstrip("/") + self.path).geturl()


def open_endpoint(settings: Teacher, environ: Mapping[str, str]) -> Endpoint:
    """Read the spec, and the key from the environment; nothing is sent.

    Raises
    ------
    WrongUse
        The spec names no remote model, the URL cannot be used, or the key cannot stand in a header.
    """
    model, url = settings.model_and_url
    if not _is_usable_url(url):
        shown = model or settings.spec.partition(":")[0]
        raise UsageError(
            f"teacher {shown}: write it as remote:MODEL@URL, as remote:m@http://127.0.0.1:8000/v1"
        )
    return Endpoint(model, url.rstrip("/"), settings, _read_api_key(settings.key_env_var, environ))


def _is_usable_url(url: str) -> bool:
    try:
        base = urlsplit(url)
        usable = bool(base.hostname) and base.port != 0
    except ValueError:  # a port that is no number, a bracket left open
        return False
    return usable and url.isprintable() and " " not in url


def _read_api_key(variable: str, environ: Mapping[str, str]) -> str | None:
    key = environ.get(variable, "").strip()
    if not (key.isascii() and key.isprintable()):  # the HTTP library would show it where it complains
        raise UsageError(
            f"the key in {variable} holds characters that cannot be sent; set the variable again"
        )
    return key or None
