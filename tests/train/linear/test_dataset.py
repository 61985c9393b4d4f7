"""The labelled posts of one set."""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from mentallama.train.linear.dataset import SetPosts
from tests.factories.linear_cases import (
    wellness_posts,
)


def test_indices_are_those_of_labelled_posts_of_one_split() -> None:
    posts = SetPosts.from_posts("MultiWD", wellness_posts())
    assert len(posts.indices("social", validation=False)) == 60
    assert len(posts.indices("social", validation=True)) == 20
    assert len(posts.indices("physical", validation=False)) == 0
    none_heldout = replace(posts, is_validation=np.zeros(80, np.bool_))
    assert len(none_heldout.indices("social", validation=False)) == 80
