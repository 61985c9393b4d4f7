"""Token sequences merged into one tree, so that shared prefixes are computed once.

All questions about a post share the post, and the answers to a question share the question. A model processes the tree
in one pass: tokens are laid out in depth-first order, each at the position given by its depth, and each attends only to
its ancestors (tree attention: Miao et al. 2024, SpecInfer, section 4.2).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass


@dataclass(frozen=True)
class TokenTree:
    """Nodes in depth-first order, each before its descendants.

    Node `i` and its descendants are `i` to `subtree_ends[i]` (exclusive). So `j` is an ancestor of `i`, or `i` itself,
    exactly if `j <= i < subtree_ends[j]`. `paths` holds the nodes of each sequence, in the order the sequences were
    given.
    """

    tokens: list[int]
    depths: list[int]
    subtree_ends: list[int]
    paths: list[list[int]]


def build_token_tree(sequences: Sequence[Sequence[int]]) -> TokenTree:
    """Merge token sequences: each distinct prefix becomes one node.

    >>> tree = build_token_tree([[5, 6, 8], [5, 6, 7]])
    >>> tree.tokens, tree.depths, tree.paths
    ([5, 6, 7, 8], [0, 1, 2, 2], [[0, 1, 3], [0, 1, 2]])
    >>> tree.subtree_ends
    [4, 4, 3, 4]
    """
    tokens: list[int] = []
    depths: list[int] = []
    ends: list[int] = []
    paths: list[list[int]] = [[] for _ in sequences]
    path: list[int] = []
    previous: Sequence[int] = ()
    # In sorted order a sequence shares its longest prefix with its predecessor, so a node once left is never revisited.
    for index in sorted(range(len(sequences)), key=lambda number: list(sequences[number])):
        sequence = sequences[index]
        n_shared = common_prefix_length(previous, sequence)
        for node in path[n_shared:]:
            ends[node] = len(tokens)
        new_nodes = range(len(tokens), len(tokens) + len(sequence) - n_shared)
        path = path[:n_shared] + list(new_nodes)
        tokens += sequence[n_shared:]
        depths += range(n_shared, len(sequence))
        ends += [0] * len(new_nodes)
        paths[index], previous = path, sequence
    for node in path:
        ends[node] = len(tokens)
    return TokenTree(tokens, depths, ends, paths)


def common_prefix_length(first: Sequence[object], second: Sequence[object]) -> int:
    """Length of the longest common prefix of two sequences."""
    for count, (one, other) in enumerate(zip(first, second, strict=False)):
        if one != other:
            return count
    return min(len(first), len(second))
