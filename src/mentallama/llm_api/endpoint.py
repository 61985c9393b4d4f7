"""Open a spec `remote:MODEL@URL` as an endpoint that requests can be sent to."""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import dataclass, field
from ipaddress import ip_address
from urllib.parse import urlsplit
from urllib.request import getproxies, proxy_bypass

from mentallama.config import EndpointSettings, RemoteOptions, parse_remote_spec
from mentallama.errors import UsageError

CHAT_PATH, COMPLETIONS_PATH = "/chat/completions", "/completions"
"""API paths of chat completions and of plain text completions."""


@dataclass(frozen=True)
class Endpoint:
    """A model behind an OpenAI-compatible API. The repr does not show the key."""

    model: str
    base_url: str
    """Base of the API, for example http://127.0.0.1:8000/v1."""
    settings: EndpointSettings
    api_key: str | None = field(default=None, repr=False)
    path: str = CHAT_PATH

    @property
    def host(self) -> str:
        """Host and port, for messages."""
        return urlsplit(self.base_url).netloc

    @property
    def request_url(self) -> str:
        """URL that requests are posted to; a query of the base URL (Azure's api-version) stays after the path."""
        base = urlsplit(self.base_url)
        return base._replace(path=base.path.rstrip("/") + self.path).geturl()


def open_endpoint(spec: str, settings: EndpointSettings, environ: Mapping[str, str]) -> Endpoint:
    """Parse the spec and read the API key from the environment; nothing is sent.

    Raises
    ------
    UsageError
        The spec names no remote model, its URL is invalid or holds a secret, or the key cannot be sent in a header.
    """
    try:
        model, url = parse_remote_spec(spec)
    except ValueError as error:
        raise UsageError(f"the remote model: {error}") from None
    if not _is_valid_url(url):
        raise UsageError(
            f"the remote model {model}: its URL is invalid; write it as remote:MODEL@URL, for example "
            "remote:m@http://127.0.0.1:8000/v1"
        )
    return Endpoint(model, url.rstrip("/"), settings, _read_api_key(settings.key_env_var, environ))


def unset_key_problem(options: RemoteOptions, environ: Mapping[str, str]) -> str | None:
    """A sentence if a variable that the user named for the API key is not set.

    Without a name there is no problem: a server of one's own may need no key.
    """
    if "key_env_var" in options.model_fields_set and not environ.get(options.key_env_var, "").strip():
        return f"key_env_var: the environment variable {options.key_env_var} is not set"
    return None


def proxy_variable(url: str) -> str | None:
    """The environment variable whose proxy is used for a URL, such as HTTPS_PROXY; None if there is none.

    NO_PROXY is obeyed, and a server on this machine is always reached directly.
    """
    parts = urlsplit(url)
    host = parts.hostname or ""
    if host == "localhost" or _is_loopback(host) or proxy_bypass(host):
        return None
    name = f"{parts.scheme}_proxy"
    names = (name, name.upper())
    return next(
        (variable for variable in names if getproxies().get(parts.scheme) and os.environ.get(variable)), None
    )


def _is_loopback(host: str) -> bool:
    try:
        return ip_address(host).is_loopback
    except ValueError:
        return False


def _is_valid_url(url: str) -> bool:
    try:
        base = urlsplit(url)
        valid = bool(base.hostname) and base.port != 0
    except ValueError:  # a port that is not a number, an unclosed bracket
        return False
    return valid and url.isprintable() and " " not in url


def _read_api_key(variable: str, environ: Mapping[str, str]) -> str | None:
    key = environ.get(variable, "").strip()
    if not (key.isascii() and key.isprintable()):  # the HTTP library would show the key in its error
        raise UsageError(
            f"the key in {variable} holds characters that cannot be sent; set the variable again"
        )
    return key or None
