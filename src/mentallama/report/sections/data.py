"""The sections about data: what was read, thrown out, guarded, shared between sets, and relabelled."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence

from mentallama.records import SPLITS
from mentallama.report.page_model import (
    Block,
    Cell,
    Row,
    Section,
    Table,
    Text,
    count,
    matrix,
    missing,
    number,
    row,
)
from mentallama.report.run_artifacts import CollectSummary, HeldOut, Material, Overlap, Removed

NO_SUMMARY = "There is no collect/summary.json in this run"

REASONS = {
    "leak": "copy across splits",
    "duplicate": "copy within the split",
    "synthetic": "made up, beside real posts",
}

LEVELS = {
    "run": "a training post goes if it stands in any test set of the run",
    "question": "a training post goes only if it stands among the test posts of its own set, "
    "so no claim of unseen sets can be made",
}


def data_sections(material: Material) -> list[Section]:
    """Counts, leak guard, overlap and drift."""
    return [
        Section("data", "Posts", tuple(_posts(material.collected))),
        Section("leaks", "Leak guard", tuple(_guard(material.collected))),
        Section("overlap", "Posts that sets share", tuple(_overlap(material.overlap))),
        Section("drift", "Labels that changed on the way", tuple(_drift(material))),
    ]


def _posts(collected: CollectSummary | None) -> Sequence[Block]:
    if collected is None:
        return missing(f"{NO_SUMMARY}, so it is not known which posts it used.")
    rows = [
        row(name, [count(splits.get(split, 0)) for split in SPLITS])
        for name, splits in collected.posts.items()
        if any(splits.values())
    ]
    sums = [sum(splits.get(split, 0) for splits in collected.posts.values()) for split in SPLITS]
    rows.append(row("together", map(count, sums), ours=True))
    blocks: list[Block] = [Table("Posts used, by set and split.", ("set", *SPLITS), tuple(rows))]
    absent = [name for name, splits in collected.posts.items() if not any(splits.values())]
    if absent:
        blocks.append(Text(f"Not in the data of this run: {', '.join(absent)}.", missing=True))
    return [*blocks, _rejects(collected)]


def _rejects(collected: CollectSummary) -> Block:
    of = "" if collected.read is None else f" of {collected.read:,} rows read"
    if not collected.rejects:
        return Text(f"No rows were rejected{of}.")
    rows = tuple(row(reason, [count(times)]) for reason, times in collected.rejects.items())
    return Table(f"Rows rejected: {collected.rejected:,}{of}.", ("reason", "rows"), rows)


def _guard(collected: CollectSummary | None) -> Sequence[Block]:
    if collected is None:
        return missing(f"{NO_SUMMARY}, so it is not known whether posts leaked.")
    level = collected.leak_guard or "none"
    blocks: list[Block] = [Text(f"Level “{level}”: {LEVELS.get(level, 'no guard is described')}.")]
    blocks.append(Text(_claim(collected.held_out)))
    if not collected.removed:
        return [*blocks, Text("No post was taken out.")]
    header = ("taken out of", "because", "of", "equal", "nearly equal", "posts")
    rows = tuple(_removal(place, kinds) for place, kinds in _by_place(collected.removed).items())
    return [*blocks, Table(f"Posts taken out: {sum(r.posts for r in collected.removed):,}.", header, rows)]


def _claim(held_out: HeldOut) -> str:
    names = ", ".join(held_out.sets)
    if held_out.claim:
        return (
            f"Held out: {names}. None of their posts, and no copy of one of their test posts, "
            "was used in training."
        )
    if held_out.sets:
        return (
            f"Held out: {names}, but {held_out.test_posts_left_in_training:,} test posts still stand in "
            "training data, so these sets cannot be called unseen."
        )
    return "No set was held out, so no score here is one of an unseen set."


Place = tuple[str, str, str]


def _by_place(removed: Sequence[Removed]) -> dict[Place, Counter[str]]:
    """(from, reason, against) -> posts by how alike they were."""
    found: dict[Place, Counter[str]] = {}
    for one in removed:
        against = " ".join(filter(None, (one.against_set, one.against_split))) or "–"
        place = (f"{one.set} {one.split}", one.reason, against)
        found.setdefault(place, Counter())[one.how or ""] += one.posts
    return found


def _removal(place: Place, kinds: Counter[str]) -> Row:
    source, reason, against = place
    counts = (count(kinds["exact"]), count(kinds["near"]), count(kinds.total()))
    return row(source, [Cell(REASONS.get(reason, reason)), Cell(against), *counts])


def _overlap(overlap: Overlap | None) -> Sequence[Block]:
    if overlap is None:
        return missing("There is no collect/overlap.json in this run, so shared posts were not counted.")
    caption = "Test posts of a set (row) that stand, equal or nearly, in training data of a set (column)."
    blocks: list[Block] = [_shared(caption + " Before the leak guard.", overlap, overlap.counts)]
    if overlap.after_guard is None:
        return blocks
    left = sum(map(sum, overlap.after_guard))
    if not left:
        return [*blocks, Text("After the leak guard none is left.")]
    after = f"{caption} After the leak guard: {left:,} left."
    return [*blocks, _shared(after, overlap, overlap.after_guard)]


def _shared(caption: str, overlap: Overlap, counts: Sequence[Sequence[int]]) -> Table:
    tested = [place for place, posts in enumerate(overlap.test_posts) if posts]
    names = [overlap.tests[place] for place in tested]
    posts = [overlap.test_posts[place] for place in tested]
    lines = [counts[place] for place in tested]
    heat = matrix(caption, "test set", names, overlap.trains, lines, wholes=posts)
    rows = tuple(
        Row((line.cells[0], count(size), *line.cells[1:]))
        for line, size in zip(heat.rows, posts, strict=True)
    )
    return Table(caption, ("test set", "test posts", *overlap.trains), rows, upright=True)


def _drift(material: Material) -> Sequence[Block]:
    if material.drift is None:
        return missing("There is no collect/drift.json in this run, so labels were not compared.")
    if not material.drift:
        return missing("No set is here both as released and upstream, so labels could not be compared.")
    rows = tuple(
        row(one.set, [Cell(one.question), count(one.rows), count(one.differ), number(100 * one.share, 1)])
        for one in material.drift
    )
    lead = "Posts that stand both in the release and in their upstream file: how often the label differs."
    header = ("set", "question", "rows compared", "labels differ", "%")
    return [Text(lead), Table("Golden against upstream labels.", header, rows)]
