"""The command `symptoms`: the symptoms that a post, or each post of a table, mentions."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from mentallama.cli.analyze import AnalyzeCommand, read_post
from mentallama.cli.console import echo_json, echo_wrapped
from mentallama.errors import TooManyRejectsError, UsageError, counted
from mentallama.safety import SYMPTOM_NOTICE

if TYPE_CHECKING:
    from mentallama.symptom_extraction.mention_table import MentionCounts
    from mentallama.symptoms import SymptomMatcher, SymptomTable

EXAMPLES = """\
mentallama symptoms "I'm not sad, I just can't sleep"
mentallama symptoms --pack PHQ-9 --json - < post.txt
mentallama symptoms --data posts.csv --text body --out symptoms.csv"""


def add_symptoms_command(app: typer.Typer) -> None:
    """Add the command to the application."""
    app.command(cls=AnalyzeCommand, epilog=EXAMPLES)(symptoms)


def symptoms(  # noqa: PLR0913, PLR0917 - one parameter per option
    text: Annotated[
        str | None, typer.Argument(metavar="TEXT", help="The post; - reads it from standard input.")
    ] = None,
    data: Annotated[
        Path | None, typer.Option(metavar="FILE", help="A table of posts instead of one.")
    ] = None,
    column: Annotated[
        list[str] | None,
        typer.Option(
            "--text", metavar="COLUMN", help="Column of the texts; may be repeated, and is often found."
        ),
    ] = None,
    id_column: Annotated[
        str | None, typer.Option("--id", metavar="COLUMN", help="Column that identifies the posts.")
    ] = None,
    out: Annotated[
        Path | None,
        typer.Option(metavar="FILE", help="Table of the mentions: .csv, .jsonl, .parquet or .xlsx."),
    ] = None,
    pack: Annotated[
        list[str] | None,
        typer.Option(metavar="NAME", help="Criteria to name, such as PHQ-9; may be repeated; default: all."),
    ] = None,
    packs_folder: Annotated[
        Path | None, typer.Option("--packs", metavar="DIR", help="A folder with criterion packs of your own.")
    ] = None,
    language: Annotated[
        str | None, typer.Option(metavar="CODE", help="Language of the posts, such as de; default: guessed.")
    ] = None,
    encoding: Annotated[
        str, typer.Option(metavar="NAME", help="Encoding of a table of text, such as cp1252.")
    ] = "utf-8",
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON.")] = False,
) -> None:
    """Find the symptoms that a post mentions, whether the writer has them, and the criteria they speak for.

    Needs no model. Reads one post and prints a table, or reads a table of posts and writes one row per mention. A
    mention is no finding about a person, and nothing is counted up to a diagnosis.
    """
    if (text is None) == (data is None):
        raise UsageError(
            "give one post, - for standard input, or a table of posts with --data FILE --out FILE"
        )
    if (data is None) != (out is None):
        raise UsageError("--data FILE and --out FILE go together")
    matcher = _open_matcher(pack, packs_folder, language)
    if data is not None and out is not None:
        from mentallama.predict.tables.input_table import open_input_table
        from mentallama.symptom_extraction.mention_table import write_mention_table

        table = open_input_table(data, str(data), tuple(column or ()), encoding=encoding)
        _report(write_mention_table(table, out, matcher, id_column=id_column, language=language), out)
    elif text is not None:
        found = matcher.find(read_post(text), language)
        if as_json:
            echo_json(found.model_dump(mode="json"))
        else:
            _print_mentions(found, matcher.packs, named=bool(pack))


def _open_matcher(names: list[str] | None, folder: Path | None, language: str | None) -> SymptomMatcher:
    from mentallama.symptoms import SymptomMatcher, find_pack, load_packs
    from mentallama.symptoms.languages import shipped_languages

    if language is not None and language not in shipped_languages():
        raise UsageError(f"--language {language}: there are rules for {', '.join(shipped_languages())}")
    packs = load_packs(folder)
    chosen = [find_pack(name, packs) for name in names or packs]
    return SymptomMatcher({pack.name: pack for pack in chosen})


def _print_mentions(found: SymptomTable, packs: tuple[str, ...], named: bool) -> None:
    """Print the mentions with a column for each pack; for one that was not named only if it has an entry."""
    from mentallama.cli.tables import WideTable, print_table

    if not named:
        packs = tuple(pack for pack in packs if any(pack in mention.criteria for mention in found.mentions))
    rows = tuple(
        (
            mention.quotation,
            mention.status.replace("_", " "),
            mention.symptom,
            *(", ".join(mention.criteria.get(pack, ())) for pack in packs),
        )
        for mention in found.mentions
    )
    title = f"symptoms, by the phrases of language {found.language}"
    if rows:
        print_table(WideTable(title, ("quotation", "status", "symptom", *packs), rows, n_keys=3))
    else:
        echo_wrapped(
            f"no symptom is mentioned in words that are known (language {found.language}); that is no sign that "
            "there is none"
        )
    echo_wrapped(SYMPTOM_NOTICE)


def _report(counts: MentionCounts, out: Path) -> None:
    mentions = counted(counts.mentions.total(), "mention")
    echo_wrapped(f"{counted(counts.posts, 'post')}, {counts.with_mentions:,} with {mentions}: {out}")
    echo_wrapped(SYMPTOM_NOTICE)
    if counts.unreadable:
        raise TooManyRejectsError(
            f"{counted(counts.unreadable, 'row')} without a readable text; column problem of {out} says why"
        )
