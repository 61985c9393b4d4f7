"""Terms of posts, as the Hugging Face hub, SPDX and the Data Use Ontology name them."""

from __future__ import annotations

from collections.abc import Collection

from mentallama.tasks.schema import DataUse, Task

TERMS_FILE = "LICENSE.md"
"""Terms in words beside a card whose licence is no single standard one; the hub links to a file of this name."""
SYNTHETIC_SPDX = "MIT"
"""Licence of the synthetic posts and of the template teacher's sentences, which are part of this project."""

DUO_CODES: dict[DataUse, str] = {
    "no restriction": "0000004",
    "general research use": "0000042",
    "health or medical or biomedical research": "0000006",
    "not for profit, non commercial use only": "0000018",
    "publication required": "0000019",
    "collaboration required": "0000020",
    "ethics approval required": "0000021",
    "user specific restriction": "0000026",
    "project specific restriction": "0000027",
    "institution specific restriction": "0000028",
}
"""Label of the Data Use Ontology -> its number: http://purl.obolibrary.org/obo/DUO_0000042."""
DUO_PERMISSIONS: frozenset[DataUse] = frozenset(
    ("no restriction", "general research use", "health or medical or biomedical research")
)
"""The labels that permit a use; the others restrict one."""


def spdx_url(identifier: str) -> str:
    """Address of a licence's text."""
    return f"https://spdx.org/licenses/{identifier}.html"


def spdx_of_posts(task: Task, synthetic: bool) -> str | None:
    """SPDX identifier of the licence that a set's posts were published under; None if it is no standard licence."""
    return SYNTHETIC_SPDX if synthetic else task.spdx


def free_licence_of_posts(synthetic: bool) -> str | None:
    """SPDX identifier of the licence that a whole may take from its posts.

    Posts that people wrote are never called free, whatever the licence of the file that they were published in.
    """
    return SYNTHETIC_SPDX if synthetic else None


def hub_licence(identifiers: Collection[str | None], name: str) -> dict[str, str]:
    """Licence in the metadata of a card.

    Parameters
    ----------
    identifiers
        Licences of everything that it has to cover, by SPDX or the hub; None for what has no standard licence.
    name
        Name of the licence if that is not one and the same standard licence.

    >>> hub_licence(["MIT", "MIT"], "terms-of-each-source")
    {'license': 'mit'}
    """
    distinct = {None if identifier is None else identifier.lower() for identifier in identifiers}
    only = distinct.pop() if len(distinct) == 1 else None
    if only is not None:
        return {"license": only}
    return {"license": "other", "license_name": name, "license_link": TERMS_FILE}
