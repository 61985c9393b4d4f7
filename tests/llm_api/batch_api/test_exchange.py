"""Batch files: a round trip through a synthetic provider, what can be wrong with its files, and money."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Callable, Iterable, Iterator
from dataclasses import replace
from functools import partial
from itertools import groupby, pairwise
from operator import itemgetter
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mentallama.config import EndpointSettings
from mentallama.errors import DataError, MentallamaError
from mentallama.llm_api.batch_api import exchange as batch
from mentallama.llm_api.batch_api import request_files as batch_files
from mentallama.llm_api.batch_api.exchange import (
    BatchRound,
    mark_failed_for_retry,
    resolve_outcomes,
    run_batch_round,
)
from mentallama.llm_api.batch_api.request_files import split_into_files
from mentallama.llm_api.endpoint import Endpoint, open_endpoint
from mentallama.llm_api.ledger.ledger import Ledger
from mentallama.llm_api.limits.budget import worst_case
from mentallama.llm_api.transport.http import FinalOutcome, RetryableFailure, encode_body
from mentallama.llm_api.types import Completion, Limits, Request, request_hash
from tests.factories.ledgers import all_completions

URL = "http://127.0.0.1:9/v1"
LIMITS = Limits(max_attempts=3)

Line = dict[str, Any]
Provider = Callable[[Line], Line]


def endpoint(model: str = "test-model", **terms: Any) -> Endpoint:
    return open_endpoint(f"remote:{model}@{URL}", EndpointSettings(**terms), {})


def make(number: int, model: str = "test-model") -> Request:
    body = {
        "model": model,
        "messages": [{"role": "user", "content": f"synthetic post {number}"}],
        "max_tokens": 100,
    }
    return Request(
        hash=request_hash(URL, body),
        body=body,
        example_id=f"e{number}",
        post_id=f"p{number}",
        author=f"a{number}",
        task="DR",
        question="q",
        label="yes",
    )


def calls(numbers: Iterable[int] = range(5)) -> list[Request]:
    return [make(number) for number in numbers]


def completion(text: str = "an answer", usage: tuple[int, int] = (10, 20)) -> Line:
    return {
        "choices": [{"message": {"role": "assistant", "content": text}, "finish_reason": "stop"}],
        "usage": {"prompt_tokens": usage[0], "completion_tokens": usage[1]},
    }


def result(request: Line, status: int = 200, body: Any = None, error: Any = None) -> Line:
    """As OpenAI writes it; the answer repeats the post's number."""
    said = request["body"]["messages"][0]["content"].rpartition(" ")[2]
    response = {"status_code": status, "request_id": "r", "body": completion(said) if status == 200 else body}
    return {
        "id": f"batch_req_{said}",
        "custom_id": request["custom_id"],
        "response": response,
        "error": error,
    }


def failed(status: int, code: str | None = None) -> Provider:
    body = {"error": {"message": "words of the server", "type": "server_error", "code": code}}
    return lambda request: result(request, status, body)


def unanswered(code: str) -> Provider:
    return lambda request: {
        "id": f"batch_req_{code}_{request['custom_id']}",
        "custom_id": request["custom_id"],
        "response": None,
        "error": {"code": code, "message": "SECRET"},
    }


def requests(folder: Path) -> dict[str, list[Line]]:
    return {
        path.name: [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines()]
        for path in sorted(folder.glob("requests-*.jsonl"))
    }


def put(folder: Path, name: str, lines: Iterable[Line | str]) -> None:
    written = [line if isinstance(line, str) else json.dumps(line) for line in lines]
    (folder / "results" / name).write_text("\n".join(written) + "\n", encoding="utf-8")


def provide(folder: Path, name: str, provider: Provider = result, number: int = -1) -> None:
    """The provider takes one request file, by its place, and gives a result file back, in its own order."""
    lines = list(requests(folder).values())[number]
    put(folder, name, map(provider, reversed(lines)))


@pytest.fixture
def ledger(tmp_path: Path) -> Iterator[Ledger]:
    with Ledger(tmp_path / "ledger.sqlite") as opened:
        yield opened


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return tmp_path / "batch"


def round_of(folder: Path, ledger: Ledger, made: list[Request] | None = None, **terms: Any) -> BatchRound:
    limits = replace(LIMITS, budget=terms.pop("budget", None), max_attempts=terms.pop("attempts", 3))
    asked = calls() if made is None else made
    return run_batch_round(folder, [(endpoint(**terms), lambda: iter(asked))], ledger, limits)


def waits(folder: Path, ledger: Ledger, *args: Any, **terms: Any) -> str:
    """A round that ends with something to upload or to wait for; its sentence."""
    with pytest.raises(MentallamaError) as raised:
        round_of(folder, ledger, *args, **terms)
    assert raised.value.exit_code == 1
    assert "SECRET" not in str(raised.value)
    return str(raised.value)


def answers(ledger: Ledger) -> dict[str, Completion]:
    return {answer.example_id: answer for answer in all_completions(ledger)}


# Round trips


def test_requests_are_written_answered_and_read(folder: Path, ledger: Ledger) -> None:
    sentence = waits(folder, ledger)
    assert sentence == (
        f"5 requests in 1 new file in {folder} (requests-0001.jsonl): upload each as a batch, put the result files "
        f"into {folder / 'results'}, and run the same command again"
    )
    written = requests(folder)["requests-0001.jsonl"]
    assert written[2] == {
        "custom_id": make(2).hash,
        "method": "POST",
        "url": "/v1/chat/completions",
        "body": make(2).body,
    }
    provide(folder, "batch_1_output.jsonl")
    read = round_of(folder, ledger)
    assert (read.stats.answered, read.stats.cached, read.unsubmitted, read.pending, read.unmatched) == (
        5,
        0,
        0,
        0,
        0,
    )
    texts = {key: answer.text for key, answer in answers(ledger).items()}
    assert texts == {f"e{number}": str(number) for number in range(5)}
    answer = answers(ledger)["e3"]
    assert (answer.model, answer.state, answer.finish_reason, answer.attempts) == (
        "test-model",
        "answered",
        "stop",
        1,
    )
    assert answer.usage == {"input": 10, "output": 20}
    again = round_of(folder, ledger)
    assert (again.stats.cached, again.stats.answered, again.files) == (5, 0, [])


def test_a_completion_is_stored_with_its_metadata(folder: Path, ledger: Ledger) -> None:
    waits(folder, ledger)
    provide(folder, "out.jsonl")
    round_of(folder, ledger)
    assert ledger.erase({"a1"}) == 1
    assert ledger.erase({"p2", "e3"}) == 2
    assert sorted(answers(ledger)) == ["e0", "e4"]


def test_the_same_requests_give_the_same_files(tmp_path: Path, ledger: Ledger) -> None:
    waits(tmp_path / "one", ledger)
    waits(tmp_path / "two", ledger)
    for name in ("requests-0001.jsonl", "metadata-0001.jsonl"):
        assert (tmp_path / "one" / name).read_bytes() == (tmp_path / "two" / name).read_bytes()


def test_completed_requests_are_not_written(folder: Path, ledger: Ledger) -> None:
    known = make(1)
    ledger.commit(
        [(known, Completion(hash=known.hash, example_id="e1", model="test-model", state="answered"))]
    )
    assert waits(folder, ledger).startswith("4 requests in 1 new file")
    assert known.hash not in {line["custom_id"] for line in requests(folder)["requests-0001.jsonl"]}


def test_pending_requests_are_not_written_again(
    folder: Path, ledger: Ledger, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Two files go out and the first comes back: nothing is written; a new post is, under a new name."""
    monkeypatch.setattr(batch, "write_requests", _small_files(3))
    assert "(requests-0001.jsonl to requests-0002.jsonl)" in waits(folder, ledger)
    before = requests(folder)
    assert [len(lines) for lines in before.values()] == [3, 2]
    assert "new file" not in waits(folder, ledger)
    provide(folder, "first.jsonl", number=0)
    sentence = waits(folder, ledger)
    assert sentence.startswith("2 requests written earlier without a result")
    assert requests(folder) == before
    sentence = waits(folder, ledger, calls(range(6)))
    assert sentence.startswith(f"1 request in 1 new file in {folder} (requests-0003.jsonl)")
    assert "2 requests written earlier without a result" in sentence
    assert requests(folder)["requests-0002.jsonl"] == before["requests-0002.jsonl"]


def _small_files(most: int) -> Callable[..., Any]:
    def small(*args: Any) -> Any:
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(batch_files, "split_into_files", partial(split_into_files, max_requests=most))
            yield from batch_files.write_requests(*args)

    return small


def test_a_run_killed_between_two_files_resumes(
    folder: Path, ledger: Ledger, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(batch, "write_requests", _small_files(2))
    waits(tmp_path / "whole", ledger)
    waits(folder, ledger)
    (folder / "requests-0003.jsonl").unlink()
    (folder / "requests-0002.jsonl").unlink()  # its record stands there alone
    waits(folder, ledger)
    assert requests(folder) == requests(tmp_path / "whole")


def test_a_deleted_request_file_is_written_again(folder: Path, ledger: Ledger) -> None:
    waits(folder, ledger)
    before = requests(folder)
    (folder / "requests-0001.jsonl").unlink()
    assert waits(folder, ledger).startswith("5 requests in 1 new file")
    assert requests(folder) == before


def test_a_repeated_request_is_written_once(
    folder: Path, ledger: Ledger, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(batch, "LOOKUP_BATCH", 4)
    twice = calls([0, 1, 0, 2, 3, 1, 4])
    assert waits(folder, ledger, twice).startswith("5 requests in 1 new file")
    assert waits(folder, ledger, twice).startswith("5 requests written earlier")
    provide(folder, "out.jsonl")
    assert round_of(folder, ledger, twice).stats.answered == 5


def test_teachers_have_files_of_their_own(folder: Path, ledger: Ledger) -> None:
    """A provider refuses a file that names two models."""
    asked = [
        (endpoint(model), partial(map, partial(make, model=model), range(3)))
        for model in ("test-model", "other")
    ]
    with pytest.raises(MentallamaError, match="6 requests in 2 new files"):
        run_batch_round(folder, asked, ledger, LIMITS)
    models = [{line["body"]["model"] for line in lines} for lines in requests(folder).values()]
    assert models == [{"test-model"}, {"other"}]
    provide(folder, "one.jsonl", number=0)
    provide(folder, "two.jsonl", number=1)
    now = run_batch_round(folder, asked, ledger, LIMITS)
    assert (now.stats.answered, now.unmatched) == (6, 0)
    assert Counter(answer.model for answer in all_completions(ledger)) == {"test-model": 3, "other": 3}


# What comes back


@pytest.mark.parametrize(
    ("provider", "reason"),
    [
        (failed(400, "context_length_exceeded"), "HTTP 400 context_length_exceeded"),
        (
            lambda request: result(request, 400, None, {"error": {"code": 400, "type": "BadRequestError"}}),
            None,
        ),
        (lambda request: result(request, 400, None, "the server's words: SECRET"), "HTTP 400"),
    ],
    ids=["OpenAI", "vLLM", "vLLM before 0.11"],
)
def test_permanent_errors_are_failed(
    provider: Provider, reason: str | None, folder: Path, ledger: Ledger
) -> None:
    waits(folder, ledger)
    provide(folder, "errors.jsonl", provider)
    read = round_of(folder, ledger)
    assert read.stats.failed == {reason or "HTTP 400 BadRequestError": 5}


def test_refusals_are_distinguished(folder: Path, ledger: Ledger) -> None:
    waits(folder, ledger)
    provide(folder, "errors.jsonl", failed(400, "content_filter"))
    assert round_of(folder, ledger).stats.refused == 5
    assert {answer.reason for answer in all_completions(ledger)} == {"HTTP 400 content filter"}


def test_temporary_errors_are_written_again_and_finally_failed(folder: Path, ledger: Ledger) -> None:
    waits(folder, ledger)
    for number in (1, 2):
        provide(
            folder, f"errors-{number}.jsonl", lambda line, n=number: failed(500)(line) | {"id": f"{n} {line}"}
        )
        sentence = waits(folder, ledger)
        assert sentence.startswith(f"5 requests in 1 new file in {folder} (requests-000{number + 1}.jsonl)")
        assert waits(folder, ledger).startswith("5 requests written earlier")
    provide(folder, "errors-3.jsonl", lambda line: failed(500)(line) | {"id": f"3 {line}"})
    assert round_of(folder, ledger).stats.failed == {"HTTP 500 server_error": 5}
    assert {answer.attempts for answer in all_completions(ledger)} == {3}
    assert len(requests(folder)) == 3


@pytest.mark.parametrize("code", ["batch_expired", "batch_cancelled"])
def test_requests_not_executed_do_not_count_as_attempts(code: str, folder: Path, ledger: Ledger) -> None:
    for number in range(4):
        waits(folder, ledger)
        lines = [unanswered(code)(line) | {"id": f"{number} {key}"} for key, line in enumerate(_last(folder))]
        put(folder, f"errors-{number}.jsonl", lines)
    waits(folder, ledger)
    provide(folder, "out.jsonl")
    assert round_of(folder, ledger).stats.answered == 5


def _last(folder: Path) -> list[Line]:
    return list(requests(folder).values())[-1]


def test_an_answer_after_failures_counts_the_attempts(folder: Path, ledger: Ledger) -> None:
    waits(folder, ledger)
    provide(folder, "errors.jsonl", lambda line: failed(503)(line) | {"id": "first " + line["custom_id"]})
    waits(folder, ledger)
    provide(folder, "output.jsonl")
    read = round_of(folder, ledger)
    assert (read.stats.answered, {answer.attempts for answer in all_completions(ledger)}) == (5, {2})


def test_errors_fatal_to_live_requests_are_reported_and_written_again(folder: Path, ledger: Ledger) -> None:
    """The line stays in its file: the run must get past it."""
    waits(folder, ledger)
    provide(folder, "errors.jsonl", failed(429, "insufficient_quota"))
    sentence = waits(folder, ledger)
    assert sentence.startswith(f"5 requests in 1 new file in {folder} (requests-0002.jsonl)")
    assert (
        "5 results with this error: 127.0.0.1:9 reports that the account of the key in MENTALLAMA_API_KEY is"
        in sentence
    )
    put(folder, "output.jsonl", [result(line) | {"id": f"later {n}"} for n, line in enumerate(_last(folder))])
    assert round_of(folder, ledger).stats.answered == 5


def test_errors_of_a_batch_repeat_the_servers_sentence(folder: Path, ledger: Ledger) -> None:
    waits(folder, ledger)
    body = {"error": {"message": "The model is not available", "code": "model_not_found"}}
    provide(folder, "errors.jsonl", lambda request: result(request, 404, body))
    assert "(the server says: The model is not available)" in waits(folder, ledger)


def test_unmatched_results_are_counted(folder: Path, ledger: Ledger) -> None:
    waits(folder, ledger)
    provide(folder, "out.jsonl")
    assert waits(folder, ledger, calls(range(2, 7))).endswith("2 results of no request of this run")
    assert sorted(answers(ledger)) == ["e2", "e3", "e4"]


def test_failed_requests_are_written_again_on_demand(folder: Path, ledger: Ledger) -> None:
    waits(folder, ledger)
    provide(folder, "errors.jsonl", failed(400))
    round_of(folder, ledger)
    assert ledger.delete_failed() == 5
    mark_failed_for_retry(folder)
    assert waits(folder, ledger).startswith(f"5 requests in 1 new file in {folder} (requests-0002.jsonl)")
    assert waits(folder, ledger).startswith("5 requests written earlier")
    put(folder, "more.jsonl", [result(line) | {"id": f"later {n}"} for n, line in enumerate(_last(folder))])
    assert round_of(folder, ledger).stats.answered == 5
    assert round_of(folder, ledger).stats.cached == 5


@pytest.mark.parametrize(
    ("outcomes", "out", "attempts", "expected"),
    [
        ([], False, 3, None),
        ([RetryableFailure("a")] * 2, False, 3, None),
        ([RetryableFailure("a")] * 2 + [RetryableFailure("b")], False, 3, RetryableFailure("b")),
        ([RetryableFailure("a")] * 3, True, 3, None),
        ([RetryableFailure("a")] * 3, False, None, None),
        ([RetryableFailure("a", connected=False)] * 3, False, 3, None),
        ([FinalOutcome("failed", reason="x")], False, 3, FinalOutcome("failed", reason="x")),
        ([FinalOutcome("failed", reason="x")], True, 3, None),
        ([FinalOutcome("failed"), FinalOutcome("refused")], True, 3, FinalOutcome("refused")),
        (
            [FinalOutcome("refused"), RetryableFailure("a"), FinalOutcome("answered", "t")],
            False,
            None,
            FinalOutcome("answered", "t"),
        ),
    ],
)
def test_several_results_of_one_request(
    outcomes: Any, out: bool, attempts: int | None, expected: Any
) -> None:
    assert resolve_outcomes(outcomes, out, attempts) == expected


# Damaged files


@pytest.mark.parametrize(
    ("line", "fault"),
    [
        ('{"custom_id": "x", "resp', "not JSON: the file is damaged or incomplete; download it again"),
        ("[1]", "not a batch result: it needs custom_id, and response or error"),
        ('{"response": {"status_code": 200}}', "not a batch result"),
        ('{"custom_id": "x", "response": null, "error": null}', "not a batch result"),
        ('{"custom_id": "x", "response": {"status_code": "200"}}', "not a batch result"),
        ('{"custom_id": "x", "method": "POST", "url": "/v1", "body": {}}', "not a batch result"),
    ],
)
def test_a_malformed_line_is_reported_and_earlier_results_are_kept(
    line: str, fault: str, folder: Path, ledger: Ledger
) -> None:
    waits(folder, ledger)
    before = requests(folder)
    good = [result(each) for each in _last(folder)]
    put(folder, "out.jsonl", [*good[:3], line, *good[3:]])
    with pytest.raises(DataError) as raised:
        round_of(folder, ledger)
    assert str(raised.value).startswith(f"{folder / 'results/out.jsonl'}, row 4: {fault}")
    assert sorted(answers(ledger)) == ["e0", "e1", "e2"]
    assert requests(folder) == before
    put(folder, "out.jsonl", good)
    assert round_of(folder, ledger).stats.answered == 2


def test_undecodable_bytes_are_reported(folder: Path, ledger: Ledger) -> None:
    waits(folder, ledger)
    (folder / "results/out.jsonl").write_bytes(b'{"custom_id": "\xff\xfe"}\n')
    with pytest.raises(DataError, match=r"out.jsonl, row 1: not JSON"):
        round_of(folder, ledger)


@pytest.mark.parametrize("name", ["out.json", "out.jsonl.gz"])
def test_a_result_file_of_another_type_is_an_error(name: str, folder: Path, ledger: Ledger) -> None:
    waits(folder, ledger)
    (folder / "results" / name).write_text("{}", encoding="utf-8")
    with pytest.raises(DataError, match=r"result files end in .jsonl"):
        round_of(folder, ledger)


def test_a_missing_metadata_file_is_reported(folder: Path, ledger: Ledger) -> None:
    waits(folder, ledger)
    (folder / "metadata-0001.jsonl").unlink()
    with pytest.raises(DataError, match=r"requests-0001.jsonl: metadata-0001.jsonl is missing beside it"):
        round_of(folder, ledger)


@pytest.mark.parametrize("body", [None, {}, {"choices": []}, "words"])
def test_a_result_without_an_answer_is_retried(body: Any, folder: Path, ledger: Ledger) -> None:
    waits(folder, ledger)
    lines = [result(line) for line in _last(folder)]
    for line in lines:
        line["response"]["body"] = body
    put(folder, "out.jsonl", lines)
    assert "(requests-0002.jsonl)" in waits(folder, ledger)


def test_an_answer_without_text_is_final(folder: Path, ledger: Ledger) -> None:
    waits(folder, ledger)
    lines = [result(line) for line in _last(folder)]
    for line in lines:
        line["response"]["body"] = {"choices": [{"message": {"content": None}, "finish_reason": "stop"}]}
    put(folder, "out.jsonl", lines)
    round_of(folder, ledger)
    completed = [(each.state, each.text, each.reason) for each in all_completions(ledger)]
    assert completed == [("answered", "", "the answer has no text")] * len(lines)


# Money

PRICES = {"input_price": 1.0, "output_price": 10.0}
WORST = worst_case(endpoint(**PRICES).settings, make(1).body, len(encode_body(make(1).body)))[1]
COST = (10 * 1 + 20 * 10) / 1e6


def test_pending_requests_never_exceed_the_budget(folder: Path, ledger: Ledger) -> None:
    budget = 2.3 * WORST
    sentence = waits(folder, ledger, budget=budget, **PRICES)
    assert sentence.startswith("2 requests in 1 new file")
    assert f"the budget of {budget:g} does not cover 3 more: 0 is spent and 0 reserved" in sentence
    sentence = waits(
        folder, ledger, budget=budget, **PRICES
    )  # the two that are out may cost the most that they can
    assert sentence.startswith("2 requests written earlier")
    assert f"does not cover 3 more: 0 is spent and {2 * WORST:.6g} reserved" in sentence
    assert len(requests(folder)) == 1
    provide(folder, "out.jsonl")
    sentence = waits(folder, ledger, budget=budget, **PRICES)  # they cost less: there is room for one more
    assert ledger.total_spent() == pytest.approx(2 * COST)
    assert 2 * COST + WORST <= budget < 2 * COST + 2 * WORST
    assert sentence.startswith("1 request in 1 new file")
    assert "does not cover 2 more" in sentence


def test_the_cost_of_an_answer_is_counted_once(folder: Path, ledger: Ledger) -> None:
    waits(folder, ledger, **PRICES)
    provide(folder, "out.jsonl")
    first = round_of(folder, ledger, **PRICES).stats
    assert first.cost == first.ledger_spent == pytest.approx(5 * COST)
    assert (first.tokens_in, first.tokens_out, first.uncertain) == (50, 100, 0.0)
    again = round_of(folder, ledger, **PRICES).stats
    assert (again.cost, again.ledger_spent) == (0.0, pytest.approx(5 * COST))


def test_an_answer_without_usage_may_have_cost_the_maximum(folder: Path, ledger: Ledger) -> None:
    waits(folder, ledger, calls([1]), **PRICES)
    line = result(_last(folder)[0])
    del line["response"]["body"]["usage"]
    put(folder, "out.jsonl", [line])
    tally = round_of(folder, ledger, calls([1]), **PRICES).stats
    assert (tally.cost, tally.uncertain) == (0.0, pytest.approx(WORST))
    assert ledger.total_spent() == pytest.approx(WORST)


def test_a_request_that_was_uploaded_twice_was_paid_for_twice(folder: Path, ledger: Ledger) -> None:
    waits(folder, ledger, calls([1]), **PRICES)
    provide(folder, "out.jsonl")
    put(folder, "twin.jsonl", [result(_last(folder)[0]) | {"id": "another"}])
    put(folder, "copy.jsonl", [result(_last(folder)[0])])  # the same result under two names was paid for once
    tally = round_of(folder, ledger, calls([1]), **PRICES).stats
    assert (tally.cost, tally.uncertain) == (pytest.approx(COST), pytest.approx(COST))


# Splitting


@given(
    st.lists(st.integers(0, 40).map(lambda size: ("", b"x" * size)), max_size=40),
    st.integers(1, 6),
    st.integers(1, 60),
)
def test_files_hold_all_lines_within_the_limits(lines: list[Any], most: int, size: int) -> None:
    files = [
        [line for _, line in group]
        for _, group in groupby(split_into_files(lines, most, size), key=itemgetter(0))
    ]
    assert [line for file in files for line in file] == lines
    weight = lambda file: sum(len(each) + 1 for _, each in file)  # noqa: E731
    for file in files:
        assert len(file) <= most
        assert weight(file) <= size or len(file) == 1
    for one, following in pairwise(files):  # a file ends only where the next line has no room
        assert len(one) == most or weight(one) + len(following[0][1]) + 1 > size


@given(st.lists(st.text(max_size=30), min_size=1, max_size=5, unique=True))
def test_any_text_is_written_unchanged(texts: list[str]) -> None:
    for text in texts:
        body = {"model": "m", "messages": [{"role": "user", "content": text}]}
        call = make(0).model_copy(update={"body": body, "hash": request_hash(URL, body)})
        about, request = batch_files.format_request((call, 0))
        assert b"\n" not in request
        assert "\n" not in about
        assert json.loads(request)["body"] == body
        assert json.loads(about)["post_id"] == "p0"
