"""The questions to a model: every post as it is, its perturbed copies, and the minimal pairs."""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection, Iterator, Mapping
from dataclasses import dataclass
from functools import cached_property

from mentallama.predict.questions import PostQuestions, QuestionSource, only_supported
from mentallama.records import Example, Form
from mentallama.robustness.minimal_pairs import MinimalPair, minimal_pairs
from mentallama.robustness.perturbations import PERTURBATIONS, ChangeOptions
from mentallama.tasks import QuestionKey

NEGATION = "negation"
"""Name of the minimal pairs among the perturbations; they are expected to change the label."""


@dataclass(frozen=True)
class PlannedQuestion:
    """A question about a post, and its perturbed copies by perturbation; None: there is nothing to change."""

    original: Example
    copies: Mapping[str, Example | None]

    def examples(self) -> Iterator[Example]:
        """All that is asked, the original first."""
        yield self.original
        yield from (copy for copy in self.copies.values() if copy is not None)


@dataclass(frozen=True)
class RobustnessPlan:
    """Everything that one model is asked, streamed post by post.

    Parameters
    ----------
    source
        The posts and their questions.
    perturbations
        Names of the perturbations that can change the model's answers; `negation` stands for the minimal pairs.
    supported
        The questions that the model answers; None: all.
    limit
        The first posts of each set that are used; None: all.
    """

    source: QuestionSource
    form: Form
    perturbations: tuple[str, ...]
    options: ChangeOptions
    supported: Collection[QuestionKey] | None = None
    limit: int | None = None

    def posts(self) -> Iterator[tuple[PostQuestions, list[PlannedQuestion]]]:
        """Yield each post with its questions and their copies."""
        for post_questions in self._selected():
            yield post_questions, [self._planned(example) for example in post_questions.examples]

    @cached_property
    def pairs(self) -> tuple[MinimalPair, ...]:
        """The minimal pairs about the questions that the posts ask."""
        if NEGATION not in self.perturbations:
            return ()
        keys = {(example.task, example.question) for post in self._selected() for example in post.examples}
        return tuple(minimal_pairs(keys))

    def questions(self) -> Iterator[PostQuestions]:
        """Everything that is asked, in the order of `posts` and then of `pairs`."""
        for post_questions, planned in self.posts():
            examples = tuple(example for question in planned for example in question.examples())
            yield PostQuestions(post_questions.post, examples)
        for pair in self.pairs:
            yield from pair.questions(self.form)

    def _selected(self) -> Iterator[PostQuestions]:
        """The posts within the limit, with the questions that the model answers."""
        used = Counter[str]()
        for post_questions in self.source():
            supported = only_supported(post_questions, self.supported)
            if supported.examples:
                used[supported.post.set] += 1
                if self.limit is None or used[supported.post.set] <= self.limit:
                    yield supported

    def _planned(self, example: Example) -> PlannedQuestion:
        named = ((name, PERTURBATIONS[name]) for name in self.perturbations if name in PERTURBATIONS)
        return PlannedQuestion(
            example, {name: perturbation.apply(name, example, self.options) for name, perturbation in named}
        )
