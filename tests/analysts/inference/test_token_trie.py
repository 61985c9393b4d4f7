"""Sequences as one tree: nothing is lost, nothing stands twice, and each sees what stands above it."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from mentallama.analysts.inference.token_trie import build_token_tree, common_prefix_length

# few different tokens, so that sequences share beginnings, repeat, and are beginnings of each other
SEQUENCES = st.lists(st.lists(st.integers(0, 3), min_size=1, max_size=8), min_size=1, max_size=8)


def test_a_small_tree_by_hand() -> None:
    #     5 - 6 - 7        nodes in walking order: 5 is 0, 6 is 1, 7 is 2, 8 is 3, 9 is 4
    #          \- 8 - 9    below 5: all; below 6: 2, 3, 4; below 8: 4
    tree = build_token_tree([[5, 6, 8, 9], [5, 6, 7], [5, 6, 8]])
    assert tree.tokens == [5, 6, 7, 8, 9]
    assert tree.depths == [0, 1, 2, 2, 3]
    assert tree.subtree_ends == [5, 5, 3, 5, 5]
    assert tree.paths == [[0, 1, 3, 4], [0, 1, 2], [0, 1, 3]]


def test_sequences_without_a_common_prefix_are_separate_trees() -> None:
    tree = build_token_tree([[2, 1], [1]])
    assert (tree.tokens, tree.depths, tree.subtree_ends) == ([1, 2, 1], [0, 0, 1], [1, 3, 3])
    assert tree.paths == [[1, 2], [0]]


@given(SEQUENCES)
def test_every_sequence_is_a_path(sequences: list[list[int]]) -> None:
    tree = build_token_tree(sequences)
    assert [[tree.tokens[node] for node in path] for path in tree.paths] == sequences
    for path in tree.paths:
        assert [tree.depths[node] for node in path] == list(range(len(path)))


@given(SEQUENCES)
def test_each_prefix_is_one_node(sequences: list[list[int]]) -> None:
    beginnings = {tuple(one[:length]) for one in sequences for length in range(1, len(one) + 1)}
    tree = build_token_tree(sequences)
    assert len(tree.tokens) == len(tree.depths) == len(tree.subtree_ends) == len(beginnings)


@given(SEQUENCES)
def test_a_node_attends_to_its_path_only(sequences: list[list[int]]) -> None:
    tree = build_token_tree(sequences)
    size = len(tree.tokens)
    for path in tree.paths:
        for length, node in enumerate(path, start=1):
            assert [above for above in range(size) if above <= node < tree.subtree_ends[above]] == path[
                :length
            ]


@given(st.lists(st.integers(0, 2)), st.lists(st.integers(0, 2)))
def test_the_longest_common_prefix(first: list[int], second: list[int]) -> None:
    length = common_prefix_length(first, second)
    assert first[:length] == second[:length]
    assert length in (len(first), len(second)) or first[length] != second[length]
