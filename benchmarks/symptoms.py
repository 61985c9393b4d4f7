"""Speed of the symptom matcher on one core, beside the same phrases as regular expressions tried one after another.

    python benchmarks/symptoms.py --data runs/imhi-linear/collect

Posts are random ones of dreaddit, DR and SAD. Seconds are of the processor, after the rules are read and the automaton
has seen 200 other posts; the plain loop searches each phrase of the language file and decides on no status.
"""

from __future__ import annotations

import argparse
import random
import re
import time
from collections.abc import Callable, Sequence
from pathlib import Path

from mentallama.answers.language_rules import fold_letters
from mentallama.files.record_files import read_records
from mentallama.records import Post
from mentallama.symptoms.languages import load_language
from mentallama.symptoms.matcher import default_matcher
from mentallama.symptoms.phrases import Choice, Gap, Part, Word, parse_phrase
from mentallama.symptoms.phrases import Sequence as PhraseSequence

SETS = ("dreaddit", "DR", "SAD")
SEED, WARM_UP = 7, 200


def pattern_source(part: Part) -> str:
    """A phrase as a regular expression over text in which single spaces separate words."""
    if isinstance(part, Word):
        return rf"\b{re.escape(part.form)}{'' if part.is_prefix else chr(92) + 'b'}\W*"
    if isinstance(part, Gap):
        return rf"(?:\w+\W+){{0,{part.longest}}}?"
    parts = part.parts if isinstance(part, PhraseSequence) else part.alternatives
    assert isinstance(part, PhraseSequence | Choice)
    separator = "" if isinstance(part, PhraseSequence) else "|"
    return f"(?:{separator.join(map(pattern_source, parts))})"


def plain_patterns() -> list[re.Pattern[str]]:
    language = load_language("en")
    return [
        re.compile(pattern_source(parse_phrase(phrase, language.words)))
        for entry in language.symptoms.values()
        for phrase in entry.phrases
    ]


def posts_per_second(find: Callable[[str], object], texts: Sequence[str]) -> float:
    started = time.process_time()
    for text in texts:
        find(text)
    return len(texts) / (time.process_time() - started)


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--data", type=Path, required=True, help="folder of posts.jsonl.zst")
    parser.add_argument("--posts", type=int, default=2000)
    parser.add_argument("--plain", type=int, default=100, help="posts for the plain loop, which is slow")
    options = parser.parse_args()
    texts = [post.text for post in read_records(options.data / "posts.jsonl.zst", Post) if post.set in SETS]
    random.Random(SEED).shuffle(texts)
    warm_up, texts = texts[:WARM_UP], texts[WARM_UP : WARM_UP + options.posts]
    matcher, patterns = default_matcher(), plain_patterns()
    for text in warm_up:
        matcher.find(text)

    def search_all(text: str) -> int:
        folded = fold_letters(text).lower().replace("'", "")
        return sum(len(pattern.findall(folded)) for pattern in patterns)

    mentions = sum(len(matcher.find(text).mentions) for text in texts)
    print(
        f"{len(texts):,} posts of {sum(map(len, texts)) / len(texts):.0f} characters, {mentions:,} mentions"
    )
    print(f"matcher     {posts_per_second(matcher.find, texts):8.0f} posts/s")
    plain = posts_per_second(search_all, texts[: options.plain])
    print(f"plain loop  {plain:8.0f} posts/s ({len(patterns):,} patterns)")


if __name__ == "__main__":
    main()
