"""Who has asked to be forgotten in a run: `forgotten.json` in the run's folder, without text or name."""

from __future__ import annotations

from pathlib import Path

from pydantic import ValidationError

from mentallama.errors import DataError
from mentallama.files.record_files import write_text
from mentallama.records import Post, Record
from mentallama.run_files import ERASURE_LIST_PATH
from mentallama.text.fingerprint import MIN_IDENTIFYING_LETTERS, key_hash, text_key


class ErasureList(Record):
    """Ids of posts, hashes of authors, and hashes of the keys of texts, each ascending.

    Texts are there because the same post stands in several sets under other ids. A text of a few letters may be
    another person's too: it is known by the post's id alone.
    """

    posts: tuple[str, ...] = ()
    authors: tuple[str, ...] = ()
    texts: tuple[int, ...] = ()

    def covers(self, post: Post) -> bool:
        """Whether a post is to be left out."""
        known = post.id in self.posts or post.author in self.authors
        return known or (bool(self.texts) and identifying_hash(post.text) in self.texts)

    def with_posts(self, posts: list[Post]) -> ErasureList:
        """This list and some posts more."""
        return ErasureList(
            posts=tuple(sorted({*self.posts, *(post.id for post in posts)})),
            authors=self.authors,
            texts=tuple(
                sorted({*self.texts, *(mark for post in posts if (mark := identifying_hash(post.text)))})
            ),
        )

    def with_authors(self, authors: set[str]) -> ErasureList:
        """This list and some authors more."""
        return self.model_copy(update={"authors": tuple(sorted({*self.authors, *authors}))})


NO_ERASURES = ErasureList()


def identifying_hash(text: str) -> int | None:
    """The hash of a text's key; None where it is too short to tell one person from another."""
    key = text_key(text)
    return key_hash(key) if len(key) >= MIN_IDENTIFYING_LETTERS else None


def read_erasure_list(folder: Path) -> ErasureList:
    """The list of a run; empty where nobody has asked."""
    path = folder / ERASURE_LIST_PATH
    if not path.is_file():
        return ErasureList()
    try:
        return ErasureList.model_validate_json(path.read_text(encoding="utf-8"))
    except (ValidationError, UnicodeDecodeError) as fault:
        raise DataError("not a list of who is to be forgotten", path) from fault


def write_erasure_list(folder: Path, forgotten: ErasureList) -> None:
    """Write the list, atomically."""
    write_text(folder / ERASURE_LIST_PATH, forgotten.model_dump_json(indent=2) + "\n")
