"""Erasure requests of a run: `erasure_list.json` in the run's folder, which holds neither texts nor names."""

from __future__ import annotations

import json
from collections.abc import Iterable
from pathlib import Path

from mentallama.errors import DataError
from mentallama.files.atomic import write_text
from mentallama.records import Post, Record
from mentallama.run_files import ERASURE_LIST_PATH
from mentallama.text.fingerprint import identifying_hash


class ErasureList(Record):
    """Posts to leave out, by post id, author hash and hash of the text's key, each in sorted order.

    Text hashes are needed because the same post occurs in several sets under different ids. Posts whose text is too
    short to identify them are listed by id only.
    """

    post_ids: tuple[str, ...] = ()
    author_hashes: tuple[str, ...] = ()
    text_hashes: tuple[int, ...] = ()

    def covers(self, post: Post) -> bool:
        """Whether a post is to be left out."""
        listed = post.id in self.post_ids or post.author in self.author_hashes
        return listed or (bool(self.text_hashes) and identifying_hash(post.text) in self.text_hashes)

    def with_posts(self, posts: list[Post]) -> ErasureList:
        """Copy this list and add posts."""
        return ErasureList(
            post_ids=tuple(sorted({*self.post_ids, *(post.id for post in posts)})),
            author_hashes=self.author_hashes,
            text_hashes=tuple(
                sorted({*self.text_hashes, *(key for post in posts if (key := identifying_hash(post.text)))})
            ),
        )

    def with_post_ids(self, post_ids: Iterable[str]) -> ErasureList:
        """Copy this list and add posts whose text is not known."""
        return self.model_copy(update={"post_ids": tuple(sorted({*self.post_ids, *post_ids}))})

    def with_authors(self, authors: Iterable[str]) -> ErasureList:
        """Copy this list and add author hashes."""
        return self.model_copy(update={"author_hashes": tuple(sorted({*self.author_hashes, *authors}))})


NO_ERASURES = ErasureList()

FORMER_ERASURE_LIST_PATH = "forgotten.json"
_FIELD_BY_FORMER_NAME = {"posts": "post_ids", "authors": "author_hashes", "texts": "text_hashes"}


def read_erasure_list(folder: Path) -> ErasureList:
    """Read the list of a run, also one under its former name; empty if there were no requests.

    Raises
    ------
    DataError
        The file is not an erasure list.
    """
    current, former = folder / ERASURE_LIST_PATH, folder / FORMER_ERASURE_LIST_PATH
    path = current if current.is_file() else former
    if not path.is_file():
        return NO_ERASURES
    try:
        fields = json.loads(path.read_text(encoding="utf-8"))
        if path == former:  # a request must never be lost, or erased posts come back
            fields = {_FIELD_BY_FORMER_NAME.get(name, name): values for name, values in fields.items()}
        return ErasureList.model_validate_json(json.dumps(fields))
    except (ValueError, AttributeError, RecursionError) as fault:
        raise DataError("this is not an erasure list", path) from fault


def write_erasure_list(folder: Path, erasures: ErasureList) -> None:
    """Write the list, atomically."""
    write_text(folder / ERASURE_LIST_PATH, erasures.model_dump_json(indent=2) + "\n")
