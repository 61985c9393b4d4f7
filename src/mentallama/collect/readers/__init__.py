"""Read raw posts from release files and tables, with a reason for each row that cannot be used."""

from mentallama.collect.readers.added_labels import AddedLabels, read_labels_file
from mentallama.collect.readers.raw_posts import RawPost, Reject
from mentallama.collect.readers.release_posts import read_release_posts
from mentallama.collect.readers.table_posts import RowRules, read_table_posts

__all__ = [
    "AddedLabels",
    "RawPost",
    "Reject",
    "RowRules",
    "read_labels_file",
    "read_release_posts",
    "read_table_posts",
]
