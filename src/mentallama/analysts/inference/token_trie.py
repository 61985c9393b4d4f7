"""Sequences of tokens as one tree, so that what they begin with in common is read once.

All questions about a post share the post, and the answers to a question share the question. A model reads the tree in
one pass: tokens stand in the order of a walk through it, each at the position of its depth, and sees only those above
it (tree attention: Miao et al. 2024, SpecInfer, section 4.2).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass


@dataclass(frozen=True)
class TokenTree:
    """Nodes in the order of a walk from the root, each before those below it.

    Node `i` and all below it are `i` to `ends[i]` (excluded). So `j` stands above `i`, or is `i`, exactly where
    `j <= i < ends[j]`. `paths` gives each sequence's nodes, in the order in which the sequences were given.
    """

    tokens: list[int]
    depths: list[int]
    subtree_ends: list[int]
    paths: list[list[int]]


def build_token_tree(sequences: Sequence[Sequence[int]]) -> TokenTree:
    """Merge sequences of tokens: each beginning that differs from all others becomes one node.

    >>> tree = grow([[5, 6, 8], [5, 6, 7]])
    >>> tree.tokens, tree.depths, tree.paths
    ([5, 6, 7, 8], [0, 1, 2, 2], [[0, 1, 3], [0, 1, 2]])
    >>> tree.ends
    [4, 4, 3, 4]
    """
    tokens: list[int] = []
    depths: list[int] = []
    ends: list[int] = []
    paths: list[list[int]] = [[] for _ in sequences]
    path: list[int] = []
    last: Sequence[int] = ()
    # In sorted order, a sequence shares most with the one before it, and nothing comes back to a node once left.
    for place in sorted(range(len(sequences)), key=lambda number: list(sequences[number])):
        sequence = sequences[place]
        shared = common_prefix_length(last, sequence)
        for node in path[shared:]:
            ends[node] = len(tokens)
        new = range(len(tokens), len(tokens) + len(sequence) - shared)
        path = path[:shared] + list(new)
        tokens += sequence[shared:]
        depths += range(shared, len(sequence))
        ends += [0] * len(new)
        paths[place], last = path, sequence
    for node in path:
        ends[node] = len(tokens)
    return TokenTree(tokens, depths, ends, paths)


def common_prefix_length(first: Sequence[int], second: Sequence[int]) -> int:
    """How many tokens two sequences begin with in common."""
    for count, (one, other) in enumerate(zip(first, second, strict=False)):
        if one != other:
            return count
    return min(len(first), len(second))
