"""Scores against the release's labels and against upstream labels."""

from mentallama.evaluate.published.upstream_scores import score_against_upstream
from mentallama.evaluate.scores import ScoredRow
from mentallama.metrics.bootstrap import Resampling
from mentallama.tasks import find_task

TASK = find_task("dreaddit")


def test_the_same_answers_against_both_labels() -> None:
    """Four rows, of which three have an upstream label and one of these another one.

    Against the release: yes/yes, yes/no, no/no: F1 of yes is 2/3 with weight 2, of no 2/3: 66.67. Against upstream:
    yes/yes, no/no, no/no: 100.
    """
    golds, answers = ["yes", "yes", "no", "no"], ["yes", "no", "no", "yes"]
    rows = [
        ScoredRow(
            example_id=str(number),
            set="dreaddit",
            question="stress",
            post_id=str(number),
            gold=gold,
            status="parsed",
            predicted=answer,
        )
        for number, (gold, answer) in enumerate(zip(golds, answers, strict=True))
    ]
    upstream = {("0", "stress"): "yes", ("1", "stress"): "no", ("2", "stress"): "no", ("3", "other"): "yes"}
    found = score_against_upstream(rows, upstream, TASK, Resampling(resamples=100))
    assert found is not None
    assert (found.rows, found.posts, found.differ) == (3, 3, 1)
    assert (found.release_f1, found.upstream_f1, found.difference) == (66.6667, 100.0, 33.3333)
    assert found.upstream_interval == (100, 100)
    assert found.difference_interval is not None
    assert found.difference_interval[0] >= 0
    assert score_against_upstream(rows, {}, TASK, Resampling()) is None
    one = score_against_upstream(rows[:1], upstream, TASK, Resampling())
    assert one is not None
    assert (one.difference, one.difference_interval) == (0, None)
