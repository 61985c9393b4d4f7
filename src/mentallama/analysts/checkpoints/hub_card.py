"""Metadata of a model card and terms of a model, as the Hugging Face hub reads them.

Nothing about a licence is guessed, and posts that people wrote are never called free: a base has the licence that its
own card names, a set the terms of its task file. Only a model of synthetic posts, on no base or on one with the same
licence, has a standard licence itself; otherwise `LICENSE.md` has the terms.
"""

from __future__ import annotations

import re
from collections.abc import Collection, Iterator, Mapping
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any, Literal

import yaml

from mentallama.analysts.checkpoints.digests import CARD_FILE
from mentallama.analysts.checkpoints.metadata import METADATA_FILE
from mentallama.files.markdown import escape_markdown, markdown_table
from mentallama.files.record_files import read_records
from mentallama.records import Post, Split
from mentallama.tasks import Task
from mentallama.tasks.terms import SYNTHETIC_SPDX, TERMS_FILE, free_licence_of_posts, hub_licence
from mentallama.text.fingerprint import is_certainly_real

Json = dict[str, Any]

PIPELINE_TAGS = {
    "linear": "text-classification",
    "majority": "text-classification",
    "encoder": "text-classification",
    "causal": "text-generation",
    "seq2seq": "text-generation",
}
"""Kind of analyst -> the hub's name of its task."""
PROVIDER_TERMS = (
    "The model learnt explanations that a language model wrote; the terms of its provider apply to them."
)
_HUB_ID = re.compile(r"[\w.-]+/[\w.-]+|[\w-]+")
_FRONT_MATTER = re.compile(r"\A---\r?\n(.*?)\r?\n---[ \t]*(?:\r?\n|\Z)", re.DOTALL)


@dataclass(frozen=True)
class ModelOrigin:
    """The base, sets and explanations that a model was made from.

    Parameters
    ----------
    kind
        The kind of analyst.
    tasks
        The tasks of the sets trained on.
    synthetic_sets
        Those of them whose posts are synthetic.
    base
        Folder of the base, or its id on the hub; None: trained from scratch.
    adapter
        Whether the model is an adapter, to be loaded with its base.
    explanations
        Who wrote the explanations that the model learnt, if it learnt any.
    other_data
        Whether it learnt from files whose terms are not known here, such as a text corpus.
    """

    kind: str
    tasks: tuple[Task, ...] = ()
    synthetic_sets: frozenset[str] = frozenset()
    base: str | None = None
    adapter: bool = False
    explanations: Literal["none", "templates", "model"] = "none"
    other_data: bool = False

    @cached_property
    def base_card(self) -> Json:
        """Metadata of the base's own card; empty if it has none here."""
        return {} if self.base is None else read_card_metadata(Path(self.base) / CARD_FILE)

    @cached_property
    def hub_base(self) -> str | None:
        """The base's id on the hub: of the base, or of what this project trained the base from."""
        if self.base is None:
            return None
        folder = Path(self.base)
        if folder.is_dir():
            made_here = (folder / METADATA_FILE).is_file()
            identifier = self.base_card.get("base_model") if made_here else None
            return identifier if isinstance(identifier, str) else None
        return self.base if _HUB_ID.fullmatch(self.base) else None

    @cached_property
    def base_licence(self) -> str | None:
        """The hub's name of the licence that the base's card states; None if it is not known here."""
        licence = self.base_card.get("license")
        return licence if isinstance(licence, str) and licence not in {"other", "unknown"} else None

    @cached_property
    def licences(self) -> tuple[str | None, ...]:
        """Licences of everything that the model was made from; None for what has no standard licence."""
        explanations: dict[str, tuple[str | None, ...]] = {"templates": (SYNTHETIC_SPDX,), "model": (None,)}
        return (
            *(() if self.base is None else (self.base_licence,)),
            *(free_licence_of_posts(task.set in self.synthetic_sets) for task in self.tasks),
            *explanations.get(self.explanations, ()),
            *((None,) if self.other_data or not self.tasks else ()),
        )


def card_metadata(origin: ModelOrigin) -> Json:
    """Metadata of a card; what is not known is left out."""
    relation = "adapter" if origin.adapter else "finetune"
    base = {} if origin.hub_base is None else {"base_model": origin.hub_base, "base_model_relation": relation}
    languages = sorted({task.language for task in origin.tasks})
    return {
        **hub_licence(origin.licences, "terms-of-base-and-data"),
        **base,
        **({"language": languages} if languages else {}),
        **(
            {"datasets": [dataset_name(task, origin.synthetic_sets) for task in origin.tasks]}
            if origin.tasks
            else {}
        ),
        "pipeline_tag": PIPELINE_TAGS[origin.kind],
        "library_name": _library(origin),
        "tags": ["mental-health", "social-media", "research-only", f"mentallama-{origin.kind}"],
    }


def _library(origin: ModelOrigin) -> str:
    """The library that loads the whole model: transformers would load an encoder without its heads."""
    if origin.kind in {"linear", "majority", "encoder"}:
        return "mentallama"
    return "peft" if origin.adapter else "transformers"


def dataset_name(task: Task, synthetic_sets: Collection[str]) -> str:
    """Name of a set in metadata, which says so if its posts are synthetic."""
    return f"{task.set}-synthetic" if task.set in synthetic_sets else task.set


def render_front_matter(metadata: Mapping[str, Any]) -> str:
    """Metadata as the YAML block at the top of a card."""
    return f"---\n{yaml.safe_dump(dict(metadata), sort_keys=False, allow_unicode=True)}---\n"


def split_card(text: str) -> tuple[Json, str]:
    """Metadata and body of a card; the metadata is empty if there is no valid block at its top."""
    match = _FRONT_MATTER.match(text)
    if match is None:
        return {}, text
    try:
        metadata = yaml.safe_load(match[1])
    except yaml.YAMLError:
        return {}, text
    return (metadata, text[match.end() :]) if isinstance(metadata, dict) else ({}, text)


def read_card_metadata(path: Path) -> Json:
    """Metadata of a card; empty if there is no such file, or it has none."""
    return split_card(path.read_text(encoding="utf-8", errors="replace"))[0] if path.is_file() else {}


def merged_card(text: str) -> str:
    """The card of an adapter, as that of the model that results from merging it into its base."""
    metadata, body = split_card(text)
    if "base_model_relation" in metadata:
        metadata["base_model_relation"] = "finetune"
    if "library_name" in metadata:
        metadata["library_name"] = "transformers"
    return render_front_matter(metadata) + body if metadata else text


def synthetic_sets(posts: Path, splits: Collection[Split]) -> frozenset[str]:
    """Sets of which no post in these splits is certainly real, and at least one is synthetic.

    A post that is too short to be identified counts as neither. Without the file there is no set.
    """
    if not posts.is_file():
        return frozenset()
    synthetic, real = set[str](), set[str]()
    for post in read_records(posts, Post):
        if post.split in splits:
            if post.provenance.synthetic:
                synthetic.add(post.set)
            elif post.set not in real and is_certainly_real(post.text, synthetic=False):
                real.add(post.set)
    return frozenset(synthetic - real)


def render_terms(name: str, origin: ModelOrigin) -> str | None:
    """The content of `LICENSE.md`; None if one standard licence covers the model."""
    if hub_licence(origin.licences, "")["license"] != "other":
        return None
    return f"# Terms of {escape_markdown(name)}\n\n" + "\n\n".join(_terms(origin)) + "\n"


def _terms(origin: ModelOrigin) -> Iterator[str]:
    yield "No single licence covers this model. Whoever uses it has to observe the terms of all that it was made from."
    if origin.base is not None:
        yield f"Base: {_base_terms(origin)}"
    if origin.tasks:
        rows = (
            (
                task.set,
                SYNTHETIC_SPDX if task.set in origin.synthetic_sets else task.licence,
                "synthetic" if task.set in origin.synthetic_sets else (task.obtain or "not published"),
            )
            for task in origin.tasks
        )
        yield markdown_table(("set", "licence", "posts"), rows).rstrip()
    if origin.explanations == "model":
        yield PROVIDER_TERMS
    if origin.other_data:
        yield "The model also learnt from files whose terms are not known here."


def _base_terms(origin: ModelOrigin) -> str:
    where = f"https://huggingface.co/{origin.hub_base}" if origin.hub_base else None
    if origin.base_licence is not None:
        return (
            f"its card states the licence `{origin.base_licence}`" + (f"; see {where}" if where else "") + "."
        )
    return (
        f"its terms are at {where}." if where else "its card states no licence; ask those who published it."
    )


def terms_note(metadata: Mapping[str, Any]) -> str:
    """A sentence of a card on the licence in its metadata."""
    if metadata["license"] != "other":
        return f"`{metadata['license']}`, as everything that the model was made from."
    return f"See [{TERMS_FILE}]({TERMS_FILE}): the terms of the base and of the data."
