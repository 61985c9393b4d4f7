"""Who has asked to be forgotten in a run: `forgotten.json` in the run's folder, without text or name."""

from __future__ import annotations

from pathlib import Path

from pydantic import ValidationError

from mentallama.errors import BadData
from mentallama.files.record_files import write_text
from mentallama.records import Post, Record
from mentallama.text.fingerprint import SHORTEST_MARKED, hash_of, key_of

NAME = "forgotten.json"


class Forgotten(Record):
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
        return known or (bool(self.texts) and text_mark(post.text) in self.texts)

    def with_posts(self, posts: list[Post]) -> Forgotten:
        """This list and some posts more."""
        return Forgotten(
            posts=tuple(sorted({*self.posts, *(post.id for post in posts)})),
            authors=self.authors,
            texts=tuple(sorted({*self.texts, *(mark for post in posts if (mark := text_mark(post.text)))})),
        )

    def with_authors(self, authors: set[str]) -> Forgotten:
        """This list and some authors more."""
        return self.model_copy(update={"authors": tuple(sorted({*self.authors, *authors}))})


NOBODY = Forgotten()


def text_mark(text: str) -> int | None:
    """The hash of a text's key; None where it is too short to tell one person from another."""
    key = key_of(text)
    return hash_of(key) if len(key) >= SHORTEST_MARKED else None


def read_forgotten(folder: Path) -> Forgotten:
    """The list of a run; empty where nobody has asked."""
    path = folder / NAME
    if not path.is_file():
        return Forgotten()
    try:
        return Forgotten.model_validate_json(path.read_text(encoding="utf-8"))
    except (ValidationError, UnicodeDecodeError) as fault:
        raise BadData("not a list of who is to be forgotten", path) from fault


def write_forgotten(folder: Path, forgotten: Forgotten) -> None:
    """Write the list, atomically."""
    write_text(folder / NAME, forgotten.model_dump_json(indent=2) + "\n")
