"""The sections about data: what was read, thrown out, guarded, shared between sets, and relabelled."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence

from mentallama.records import SPLITS
from mentallama.report.page_model import (
    Block,
    Cell,
    PageRow,
    Paragraph,
    Section,
    TableBlock,
    count_cell,
    heat_table,
    missing_note,
    named_row,
    number_cell,
)
from mentallama.report.run_artifacts import (
    CollectSummary,
    HeldOutClaim,
    OverlapCounts,
    RemovedPosts,
    RunArtifacts,
)

NO_COLLECT_SUMMARY = "There is no collect/summary.json in this run"

REMOVAL_REASONS = {
    "leak": "copy across splits",
    "duplicate": "copy within the split",
    "synthetic": "made up, beside real posts",
}

LEAK_GUARD_LEVELS = {
    "run": "a training post goes if it stands in any test set of the run",
    "question": "a training post goes only if it stands among the test posts of its own set, "
    "so no claim of unseen sets can be made",
}


def data_sections(material: RunArtifacts) -> list[Section]:
    """Counts, leak guard, overlap and drift."""
    return [
        Section("data", "Posts", tuple(_post_counts(material.collect_summary))),
        Section("leaks", "Leak guard", tuple(_leak_guard(material.collect_summary))),
        Section("overlap", "Posts that sets share", tuple(_overlap(material.overlap))),
        Section("drift", "Labels that changed on the way", tuple(_label_drift(material))),
    ]


def _post_counts(collected: CollectSummary | None) -> Sequence[Block]:
    if collected is None:
        return missing_note(f"{NO_COLLECT_SUMMARY}, so it is not known which posts it used.")
    rows = [
        named_row(name, [count_cell(splits.get(split, 0)) for split in SPLITS])
        for name, splits in collected.posts.items()
        if any(splits.values())
    ]
    sums = [sum(splits.get(split, 0) for splits in collected.posts.values()) for split in SPLITS]
    rows.append(named_row("together", map(count_cell, sums), highlighted=True))
    blocks: list[Block] = [TableBlock("Posts used, by set and split.", ("set", *SPLITS), tuple(rows))]
    absent = [name for name, splits in collected.posts.items() if not any(splits.values())]
    if absent:
        blocks.append(Paragraph(f"Not in the data of this run: {', '.join(absent)}.", missing=True))
    return [*blocks, _reject_table(collected)]


def _reject_table(collected: CollectSummary) -> Block:
    of = "" if collected.read is None else f" of {collected.read:,} rows read"
    if not collected.rejects:
        return Paragraph(f"No rows were rejected{of}.")
    rows = tuple(named_row(reason, [count_cell(times)]) for reason, times in collected.rejects.items())
    return TableBlock(f"Rows rejected: {collected.rejected:,}{of}.", ("reason", "rows"), rows)


def _leak_guard(collected: CollectSummary | None) -> Sequence[Block]:
    if collected is None:
        return missing_note(f"{NO_COLLECT_SUMMARY}, so it is not known whether posts leaked.")
    level = collected.leak_guard or "none"
    blocks: list[Block] = [
        Paragraph(f"Level “{level}”: {LEAK_GUARD_LEVELS.get(level, 'no guard is described')}.")
    ]
    blocks.append(Paragraph(_held_out_claim(collected.held_out)))
    if not collected.removed:
        return [*blocks, Paragraph("No post was taken out.")]
    header = ("taken out of", "because", "of", "equal", "nearly equal", "posts")
    rows = tuple(_removal_row(place, kinds) for place, kinds in _count_removals(collected.removed).items())
    return [
        *blocks,
        TableBlock(f"Posts taken out: {sum(r.posts for r in collected.removed):,}.", header, rows),
    ]


def _held_out_claim(held_out: HeldOutClaim) -> str:
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


RemovalKey = tuple[str, str, str]


def _count_removals(removed: Sequence[RemovedPosts]) -> dict[RemovalKey, Counter[str]]:
    """(from, reason, against) -> posts by how alike they were."""
    found: dict[RemovalKey, Counter[str]] = {}
    for one in removed:
        against = " ".join(filter(None, (one.against_set, one.against_split))) or "–"
        place = (f"{one.set} {one.split}", one.reason, against)
        found.setdefault(place, Counter())[one.how or ""] += one.posts
    return found


def _removal_row(place: RemovalKey, kinds: Counter[str]) -> PageRow:
    source, reason, against = place
    counts = (count_cell(kinds["exact"]), count_cell(kinds["near"]), count_cell(kinds.total()))
    return named_row(source, [Cell(REMOVAL_REASONS.get(reason, reason)), Cell(against), *counts])


def _overlap(overlap: OverlapCounts | None) -> Sequence[Block]:
    if overlap is None:
        return missing_note("There is no collect/overlap.json in this run, so shared posts were not counted.")
    caption = "Test posts of a set (row) that stand, equal or nearly, in training data of a set (column)."
    blocks: list[Block] = [_overlap_table(caption + " Before the leak guard.", overlap, overlap.counts)]
    if overlap.after_guard is None:
        return blocks
    left = sum(map(sum, overlap.after_guard))
    if not left:
        return [*blocks, Paragraph("After the leak guard none is left.")]
    after = f"{caption} After the leak guard: {left:,} left."
    return [*blocks, _overlap_table(after, overlap, overlap.after_guard)]


def _overlap_table(caption: str, overlap: OverlapCounts, counts: Sequence[Sequence[int]]) -> TableBlock:
    tested = [place for place, posts in enumerate(overlap.test_posts) if posts]
    names = [overlap.tests[place] for place in tested]
    posts = [overlap.test_posts[place] for place in tested]
    lines = [counts[place] for place in tested]
    heat = heat_table(caption, "test set", names, overlap.trains, lines, row_totals=posts)
    rows = tuple(
        PageRow((line.cells[0], count_cell(size), *line.cells[1:]))
        for line, size in zip(heat.rows, posts, strict=True)
    )
    return TableBlock(caption, ("test set", "test posts", *overlap.trains), rows, vertical_headers=True)


def _label_drift(material: RunArtifacts) -> Sequence[Block]:
    if material.drift is None:
        return missing_note("There is no collect/label_drift.json in this run, so labels were not compared.")
    if not material.drift:
        return missing_note("No set is here both as released and upstream, so labels could not be compared.")
    rows = tuple(
        named_row(
            one.set,
            [
                Cell(one.question),
                count_cell(one.rows),
                count_cell(one.differ),
                number_cell(100 * one.share, 1),
            ],
        )
        for one in material.drift
    )
    lead = "Posts that stand both in the release and in their upstream file: how often the label differs."
    header = ("set", "question", "rows compared", "labels differ", "%")
    return [Paragraph(lead), TableBlock("Golden against upstream labels.", header, rows)]
