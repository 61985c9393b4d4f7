"""What may leave the machine: refused sets, all at once, before anything is sent."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from mentallama.analysts.linear.analyst import LinearAnalyst
from mentallama.analysts.linear.features import NgramConfig
from mentallama.errors import EXIT_USAGE, UsageError
from mentallama.files.tables import read_table
from mentallama.prompts.few_shot import FewShotRow, count_real_examples
from mentallama.records import Post
from tests.factories.endpoint_server import Plan, Server, serving
from tests.factories.linear_cases import cause_posts, depression_posts, make_post
from tests.factories.project import ROOT
from tests.factories.teach_cases import make_job, run_teach, sensible_reply


def real(post: Post) -> Post:
    return post.model_copy(update={"provenance": post.provenance.model_copy(update={"synthetic": False})})


def real_ones(*names: str) -> list[Post]:
    """DR and CLP are given by agreement, CAMS is not."""
    posts = [
        make_post("CLP", "test", "A long walk by the sea.", {"depression": "no"}),
        *depression_posts()[:4],
    ]
    return [real(each) if each.set in names else each for each in [*posts, *cause_posts()[:3]]]


Teacher = tuple[Server, str]


@pytest.fixture
def teacher() -> Iterator[Teacher]:
    """A server, and the spec that names it."""
    with serving(Plan(reply=sensible_reply)) as server:
        yield server, f"remote:test-model@{server.url}"


def test_all_sets_with_an_agreement_are_named_at_once_and_nothing_is_sent(
    teacher: Teacher, tmp_path: Path
) -> None:
    server, spec = teacher
    with pytest.raises(UsageError) as refused:
        run_teach(make_job(tmp_path, real_ones("DR", "CLP", "CAMS"), teacher=spec), tmp_path)
    assert "posts of CLP, DR were given under an agreement" in str(refused.value)
    assert "--allow-remote CLP --allow-remote DR" in str(refused.value)
    assert refused.value.exit_code == EXIT_USAGE
    assert not server.hashes
    assert not (tmp_path / "ledger.sqlite").exists()


def test_allowing_one_set_leaves_the_other_refused(teacher: Teacher, tmp_path: Path) -> None:
    server, spec = teacher
    job = make_job(tmp_path, real_ones("DR", "CLP"), teacher=spec, allow_remote=["CLP"])
    with pytest.raises(UsageError, match=r"posts of DR were given .* pass --allow-remote DR if"):
        run_teach(job, tmp_path)
    assert not server.hashes


@pytest.mark.parametrize(("names", "allowed"), [(("DR", "CLP"), ("DR", "CLP")), (("CAMS",), ()), ((), ())])
def test_allowed_free_and_synthetic_posts_are_sent(
    names: tuple[str, ...], allowed: tuple[str, ...], teacher: Teacher, tmp_path: Path
) -> None:
    server, spec = teacher
    run_teach(make_job(tmp_path, real_ones(*names), teacher=spec, allow_remote=allowed), tmp_path)
    assert server.hashes.total() == 8


def test_a_real_post_outside_the_splits_is_not_refused(teacher: Teacher, tmp_path: Path) -> None:
    server, spec = teacher
    run_teach(make_job(tmp_path, real_ones("CLP"), teacher=spec, splits=["train"]), tmp_path)
    assert server.hashes.total() == 7  # the CLP post is a test post


def test_an_embedded_teacher_may_read_every_set(tmp_path: Path) -> None:
    empty = LinearAnalyst(NgramConfig(), {}, "linear:none")
    job = make_job(tmp_path, real_ones("DR", "CLP"), teacher="embedded")
    summary, _, _ = run_teach(job, tmp_path, load_analyst=lambda _: empty)
    assert summary.failed == {"embedded:none": {"the linear analyst was not trained on this question": 8}}


def test_two_teachers_of_which_one_is_remote(teacher: Teacher, tmp_path: Path) -> None:
    server, spec = teacher
    with pytest.raises(UsageError, match="not sent to remote:test-model@"):
        run_teach(make_job(tmp_path, real_ones("DR"), teacher=["embedded", spec]), tmp_path)
    assert not server.hashes


def example(name: str, text: str) -> FewShotRow:
    return FewShotRow(set=name, question="q", text=text, label="no", explanation="So.", file="f", row=2)


def test_examples_are_synthetic_only_if_their_key_is_known(sample_text: str) -> None:
    rows = [
        example("DR", sample_text),
        example("DR", "Somebody else wrote this some day."),
        example("CLP", "short"),
    ]
    assert count_real_examples(rows) == {"DR": 1, "CLP": 1}


@pytest.fixture
def sample_text() -> str:
    return next(cells["text"] for _, cells in read_table(ROOT / "sample/examples.csv"))


def test_real_examples_of_a_set_with_an_agreement_are_not_sent_either(
    teacher: Teacher, tmp_path: Path
) -> None:
    server, spec = teacher
    path = tmp_path / "examples.csv"
    path.write_text(
        "set,question,text,label,explanation\n"
        'DR,depression,"I cannot get out of bed and cry all day.",yes,"It says so."\n'
        'DR,depression,"The picnic by the lake was lovely.",no,"It is calm."\n',
        encoding="utf-8",
    )
    job = make_job(tmp_path, depression_posts()[:4], teacher=spec, prompt="few-shot", examples=path, shots=2)
    with pytest.raises(UsageError, match="posts of DR were given under an agreement"):
        run_teach(job, tmp_path)
    assert not server.hashes
