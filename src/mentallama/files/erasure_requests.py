"""Erasure requests of a run: `erasure_list.json` in the run's folder, which holds neither texts nor names."""

from __future__ import annotations

from pathlib import Path

from pydantic import ValidationError

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

    def with_authors(self, authors: set[str]) -> ErasureList:
        """Copy this list and add author hashes."""
        return self.model_copy(update={"author_hashes": tuple(sorted({*self.author_hashes, *authors}))})


NO_ERASURES = ErasureList()


def read_erasure_list(folder: Path) -> ErasureList:
    """Read the list of a run; empty if there were no requests."""
    path = folder / ERASURE_LIST_PATH
    if not path.is_file():
        return NO_ERASURES
    try:
        return ErasureList.model_validate_json(path.read_text(encoding="utf-8"))
    except (ValidationError, UnicodeDecodeError) as fault:
        raise DataError("this is not an erasure list", path) from fault


def write_erasure_list(folder: Path, erasures: ErasureList) -> None:
    """Write the list, atomically."""
    write_text(folder / ERASURE_LIST_PATH, erasures.model_dump_json(indent=2) + "\n")
