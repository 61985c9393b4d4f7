"""Examples per second of a decoder on the release's MultiWD and Irf test files, compared with a loop over `generate`.

    python benchmarks/predict.py                                # a small Llama with random weights
    python benchmarks/predict.py --model causal:runs/NAME/train # a trained model, whose answers end by themselves

The plain loop takes the rows in file order, pads batches of 8 on the left and generates each answer from scratch with
`generate` of transformers, greedily, with the same limit of new tokens. The analyst gives the probability of every
label; it is measured with labels only, and with explanations generated after the most likely answer. All process the
same rows in alternating rounds in one process, so that other load on the machine affects all.

The random Llama has 4 layers of width 256 and a vocabulary of 4,096; its tokenizer is trained on the release's files.
With random weights, no answer ends before the limit on either side. Before the measurement, log-likelihoods and
probabilities of some rows are compared with those computed one answer at a time, without cache or token tree.
"""

from __future__ import annotations

import argparse
import os
import statistics
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from itertools import chain, groupby, islice
from pathlib import Path
from typing import Any

import torch
from tokenizers import Tokenizer, decoders, models, pre_tokenizers, trainers
from transformers import GenerationConfig, LlamaConfig, LlamaForCausalLM, PreTrainedTokenizerFast

from mentallama.analysts.base import InferenceOptions
from mentallama.analysts.checkpoints.loading import LoadedModel, load_pretrained
from mentallama.analysts.inference.answer_scoring import ScoringGroup, ScoringRequest, score_trees
from mentallama.analysts.inference.prompt_encoding import PromptEncoder
from mentallama.analysts.language_model.causal import CausalAnalyst
from mentallama.answers.format import label_sentence
from mentallama.files.imhi_release import ReleaseFile, ReleaseRow, read_release_file, release_path
from mentallama.predict.analyst_pool import BATCH_SIZE
from mentallama.predict.questions import batches_by_post
from mentallama.records import Example, stable_id
from mentallama.tasks import find_task

SETS = ("MultiWD", "Irf")
DATA = Path(os.environ.get("MENTALLAMA_DATA", Path(__file__).parents[2] / "shared" / "imhi"))
BASELINE_BATCH_SIZE = 8
MAX_DEVIATION = 1e-4


def rows_of(release: Path, name: str) -> Iterator[ReleaseRow]:
    """The rows of a test file, in its order."""
    path = release / release_path(name, "test", "instruction")
    return read_release_file(ReleaseFile(name, "test", "instruction", path), find_task(name))


def examples_of(release: Path, name: str, count: int | None) -> list[Example]:
    """The first rows of a test file as examples."""
    return [
        Example(
            id=stable_id(name, str(row.row)),
            post_id=stable_id(name, row.text),
            task=name,
            question=row.question,
            form="instruction",
            text=row.text,
        )
        for row in islice(rows_of(release, name), count)
    ]


def small_llama(release: Path, seed: int = 0) -> LoadedModel:
    """A Llama of 4 layers with random weights, and a byte-level BPE tokenizer trained on the test files."""
    bpe = Tokenizer(models.BPE())
    bpe.pre_tokenizer, bpe.decoder = pre_tokenizers.ByteLevel(add_prefix_space=False), decoders.ByteLevel()
    trainer = trainers.BpeTrainer(
        vocab_size=4096,
        special_tokens=["<|endoftext|>"],
        initial_alphabet=pre_tokenizers.ByteLevel.alphabet(),
        show_progress=False,
    )
    bpe.train_from_iterator(
        (f"{row.query} {row.reference}" for name in SETS for row in rows_of(release, name)), trainer
    )
    tokenizer = PreTrainedTokenizerFast(
        tokenizer_object=bpe, eos_token="<|endoftext|>", pad_token="<|endoftext|>", model_max_length=2048
    )
    torch.manual_seed(seed)
    shape = LlamaConfig(
        vocab_size=4096,
        hidden_size=256,
        intermediate_size=688,
        num_hidden_layers=4,
        num_attention_heads=4,
        max_position_embeddings=2048,
        initializer_range=0.1,  # answers then differ in likelihood
        bos_token_id=None,
        eos_token_id=tokenizer.eos_token_id,
    )
    return LoadedModel(LlamaForCausalLM(shape).eval(), tokenizer, 2048, "causal:random", None)


def plain_loop(loaded: LoadedModel, new_tokens: int) -> Callable[[Sequence[Example]], int]:
    """Batches of 8 in file order, padded on the left, each row generated from scratch; returns the tokens generated."""
    tokenizer, model = loaded.tokenizer, loaded.model
    tokenizer.padding_side = "left"
    template = loaded.metadata.template if loaded.metadata else "auto"
    encoder = PromptEncoder(tokenizer, "instruction", template, loaded.context)
    greedy = GenerationConfig(
        do_sample=False,
        max_new_tokens=new_tokens,
        eos_token_id=list(encoder.stop_token_ids),
        pad_token_id=tokenizer.pad_token_id,
    )

    def run(examples: Sequence[Example]) -> int:
        n_tokens = 0
        with torch.inference_mode():
            for start in range(0, len(examples), BASELINE_BATCH_SIZE):
                batch = examples[start : start + BASELINE_BATCH_SIZE]
                prompts = [
                    encoder.encode_prompt(example, find_task(example.task), new_tokens).ids
                    for example in batch
                ]
                inputs = tokenizer.pad({"input_ids": prompts}, return_tensors="pt").to(model.device)
                output = model.generate(**inputs, generation_config=greedy)
                new = output[:, inputs["input_ids"].shape[1] :]
                n_tokens += int((new != tokenizer.pad_token_id).sum())
                for ids in new.tolist():
                    tokenizer.decode(ids, skip_special_tokens=True)
        return n_tokens

    return run


def analyst_run(loaded: LoadedModel, inference: InferenceOptions) -> Callable[[Sequence[Example]], int]:
    """The analyst, with the batches that `predict` makes; returns the number of labels."""

    def run(examples: Sequence[Example]) -> int:
        analyst = CausalAnalyst(loaded, inference)
        posts = (list(group) for _, group in groupby(examples, key=lambda example: example.post_id))
        answers = chain.from_iterable(analyst.predict(batch) for batch in batches_by_post(posts, BATCH_SIZE))
        return sum(bool(prediction.reading.label) for prediction in answers)

    return run


def max_deviations(loaded: LoadedModel, examples: Sequence[Example]) -> tuple[float, float]:
    """Largest differences of probabilities, and of log-likelihoods in nats, from those of one pass per answer."""
    predictions = CausalAnalyst(loaded, InferenceOptions(labels_only=True)).predict(examples)
    template = loaded.metadata.template if loaded.metadata else "auto"
    encoder = PromptEncoder(loaded.tokenizer, "instruction", template, loaded.context)
    probability, nats = 0.0, 0.0
    for example, prediction in zip(examples, predictions, strict=True):
        task = find_task(example.task)
        answers = tuple(
            encoder.encode_answer(label_sentence(task, label), add_stop_token=False) for label in task.labels
        )
        prompt = encoder.encode_prompt(example, task, max(map(len, answers))).ids
        scores = torch.tensor([score(loaded.model, prompt, answer) for answer in answers])
        naive = dict(zip(task.labels, scores.softmax(0).tolist(), strict=True))
        probability = max(
            probability, *(abs(naive[label] - prediction.probabilities[label]) for label in naive)
        )
        with torch.inference_mode():
            ((scored,),) = score_trees(
                loaded.model, [ScoringGroup([0], [ScoringRequest(prompt, answers)])], keep_cache=False
            )
        nats = max(nats, float((torch.tensor(scored.answer_logprobs) - scores).abs().max()))
    return probability, nats


@torch.inference_mode()
def score(model: Any, prompt: list[int], answer: list[int]) -> float:
    """Log-likelihood of an answer, by a pass of its own."""
    logprobs = model(torch.tensor([prompt + answer], device=model.device)).logits[0].float().log_softmax(-1)
    return float(sum(logprobs[len(prompt) + index - 1, token] for index, token in enumerate(answer)))


def main() -> None:
    """Check the deviations, then measure and print the speeds."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--data", type=Path, default=DATA, help="folder with release/")
    parser.add_argument("--model", metavar="causal:DIR", help="a trained model instead of random weights")
    parser.add_argument("--rows", type=int, default=252, help="rows of each file (0: all)")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--new-tokens", type=int, default=128)
    parser.add_argument("--max-batch-tokens", type=int, default=InferenceOptions().max_batch_tokens)
    parser.add_argument("--threads", type=int, default=torch.get_num_threads())
    args = parser.parse_args()
    torch.set_num_threads(args.threads)
    release = args.data / "release"
    if args.model:
        device = torch.device("cuda" if torch.cuda.is_available() else "cpu")
        loaded = load_pretrained(args.model.removeprefix("causal:"), "causal", torch.float32, device)
    else:
        loaded = small_llama(release)
    examples = list(chain.from_iterable(examples_of(release, name, args.rows or None) for name in SETS))
    size = sum(parameter.numel() for parameter in loaded.model.parameters()) / 1e6
    print(
        f"{loaded.name}, {size:.1f}M parameters, {len(examples)} rows, at most {args.new_tokens} new tokens"
    )
    sample = [*examples[:12], *examples[-12:]]
    deviation, nats = max_deviations(loaded, sample)
    print(
        f"{len(sample)} rows: probabilities differ by at most {deviation:.1e}, log-likelihoods by at most {nats:.1e} "
        "from one pass per answer"
    )
    if deviation > MAX_DEVIATION:
        sys.exit(f"that is more than {MAX_DEVIATION}")
    compare(loaded, examples, args)


def compare(loaded: LoadedModel, examples: Sequence[Example], args: argparse.Namespace) -> None:
    """Examples per second of each, round by round, and the speed relative to the plain loop."""
    settings = {"max_new_tokens": args.new_tokens, "max_batch_tokens": args.max_batch_tokens}
    runs = {
        "plain loop": plain_loop(loaded, args.new_tokens),
        "mentallama, with explanations": analyst_run(loaded, InferenceOptions(**settings)),
        "mentallama, labels only": analyst_run(loaded, InferenceOptions(labels_only=True, **settings)),
    }
    for run in runs.values():  # warm-up
        run(examples[:BASELINE_BATCH_SIZE])
    rates: dict[str, list[float]] = {name: [] for name in runs}
    for number in range(args.rounds):
        for name, run in runs.items():
            start = time.perf_counter()
            run(examples)
            rates[name].append(len(examples) / (time.perf_counter() - start))
            print(f"round {number + 1}: {name:<30}{rates[name][-1]:>9.2f} examples/s", flush=True)
    for name, speeds in rates.items():
        baseline = rates["plain loop"]
        times = statistics.median(speed / plain for speed, plain in zip(speeds, baseline, strict=True))
        print(
            f"{name:<30} median {statistics.median(speeds):>8.2f} examples/s, {times:6.2f} times the plain loop"
        )


if __name__ == "__main__":
    main()
