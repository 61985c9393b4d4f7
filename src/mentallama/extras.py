"""The command that installs an optional extra, for messages about a missing library."""

from __future__ import annotations

import json
import shlex
from importlib import metadata
from pathlib import Path
from urllib.parse import unquote, urlsplit
from urllib.request import url2pathname

UNKNOWN_ORIGIN = (
    'pip install "SOURCE[{extra}]", where SOURCE is the folder or wheel that mentallama came from'
)
"""Used if the installation does not record where it came from, or if that place is gone."""


def install_hint(extra: str, distribution: str = "mentallama") -> str:
    """The pip command that adds `extra` to this installation.

    A folder or wheel that was installed is recorded by pip (direct_url.json, PEP 610); without that record the package
    came from an index, where its name suffices.
    """
    try:
        recorded = metadata.distribution(distribution).read_text("direct_url.json")
    except metadata.PackageNotFoundError:
        return UNKNOWN_ORIGIN.format(extra=extra)
    if recorded is None:
        return f'pip install "{distribution}[{extra}]"'
    origin = json.loads(recorded)
    path = Path(url2pathname(unquote(urlsplit(origin["url"]).path)))
    if not path.exists():
        return UNKNOWN_ORIGIN.format(extra=extra)
    editable = "-e " if origin.get("dir_info", {}).get("editable") else ""
    return f"pip install {editable}{shlex.quote(f'{path}[{extra}]')}"
