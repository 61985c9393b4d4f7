"""Sections on the data: posts used and rejected, the leak guard, overlap between sets, label drift."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence

from mentallama.collect.summary import REMOVAL_REASONS, CollectSummary, HeldOut, Overlap, RemovalCount
from mentallama.errors import counted
from mentallama.files.markdown import EMPTY_CELL
from mentallama.records import SPLITS
from mentallama.report.label_distribution import LabelDistribution, stated_names
from mentallama.report.page_model import (
    Block,
    BlockGroup,
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
from mentallama.report.run_artifacts import RunArtifacts

NO_COLLECT_SUMMARY = "There is no collect/summary.json in this run"

LEAK_GUARD_LEVELS = {
    "run": "a post is removed from training if it is a copy of a validation or test post of any set, "
    "and from validation if it is a copy of a test post of any set",
    "question": "a post is removed only if it is a copy of an evaluation post of its own set, "
    "so no set can be called unseen",
}


def posts_section(artifacts: RunArtifacts) -> Section:
    """Posts by set and split, and rejected rows."""
    return Section("posts", "Posts", tuple(_post_counts(artifacts)))


def leak_section(artifacts: RunArtifacts) -> Section:
    """Posts that the leak guard removed, and whether held-out sets can be called unseen."""
    return Section("leaks", "Leak guard", tuple(_leak_guard(artifacts)))


def labels_section(artifacts: RunArtifacts) -> Section | None:
    """How often the posts of each set have each label."""
    tables = tuple(
        _label_table(artifacts, name, artifacts.labels[name])
        for name in artifacts.tasks
        if name in artifacts.labels
    )
    if not tables:
        return None
    lead = (
        "Posts by label and split; shares are of the posts with an answer to the question. Where an answer names any "
        "number of labels, or quotes passages, shares do not add up to 100. An item of a scale may be not filled."
    )
    title = f"Labels of {counted(len(tables), 'set')}"
    return Section("labels", "Labels", (Paragraph(lead), BlockGroup(tables, collapsed_title=title)))


def _label_table(artifacts: RunArtifacts, name: str, labels: LabelDistribution) -> TableBlock:
    task = artifacts.tasks[name]
    lines = [
        (question, stated, labels.posts.get((question, stated), Counter()))
        for question in labels.labelled
        for stated in stated_names(task)
    ]
    several = len(labels.labelled) > 1
    rows = tuple(
        named_row(
            f"{question}: {stated}" if several else stated,
            [
                cell
                for split in SPLITS
                for cell in _label_cells(counts[split], labels.labelled[question][split])
            ],
        )
        for question, stated, counts in lines
    )
    header = ("label", *(column for split in SPLITS for column in (split, "%")))
    sizes = ", ".join(
        f"{sum(labels.labelled[question][split] for question in labels.labelled):,} {split}"
        for split in SPLITS
    )
    caption = f"{artifacts.set_name(name)}; answers: {sizes}."
    return TableBlock(caption, header, rows, name=f"labels-{name}")


def _label_cells(posts: int, labelled: int) -> list[Cell]:
    return [count_cell(posts), number_cell(100 * posts / labelled if labelled else None, 1)]


def overlap_section(artifacts: RunArtifacts) -> Section:
    """Test posts that are in training data, before and after the leak guard."""
    return Section("overlap", "Posts shared between sets", tuple(_overlap(artifacts)))


def drift_section(artifacts: RunArtifacts) -> Section:
    """Labels that differ between the release and the upstream files."""
    return Section("drift", "Label drift", tuple(_label_drift(artifacts)))


def _post_counts(artifacts: RunArtifacts) -> Sequence[Block]:
    collected = artifacts.collect_summary
    if collected is None:
        return missing_note(f"{NO_COLLECT_SUMMARY}, so the posts it used are unknown.")
    rows = [
        named_row(artifacts.set_name(name), [count_cell(splits.get(split, 0)) for split in SPLITS])
        for name, splits in collected.posts.items()
        if any(splits.values())
    ]
    sums = [sum(splits.get(split, 0) for splits in collected.posts.values()) for split in SPLITS]
    rows.append(named_row("total", map(count_cell, sums), highlighted=True))
    blocks: list[Block] = [TableBlock("Posts used, by set and split.", ("set", *SPLITS), tuple(rows))]
    absent = [
        artifacts.set_name(name) for name, splits in collected.posts.items() if not any(splits.values())
    ]
    if absent:
        blocks.append(Paragraph(f"Not in the data of this run: {', '.join(absent)}.", missing=True))
    return [*blocks, _reject_table(collected)]


def _reject_table(collected: CollectSummary) -> Block:
    of_read = "" if collected.rows_read is None else f" of {collected.rows_read:,} rows read"
    if not collected.reject_reasons:
        return Paragraph(f"No rows were rejected{of_read}.")
    rows = tuple(named_row(reason, [count_cell(times)]) for reason, times in collected.reject_reasons.items())
    return TableBlock(
        f"Rows rejected: {collected.rejected:,}{of_read}.", ("reason", "rows"), rows, name="rejected"
    )


def _leak_guard(artifacts: RunArtifacts) -> Sequence[Block]:
    collected = artifacts.collect_summary
    if collected is None:
        return missing_note(f"{NO_COLLECT_SUMMARY}, so it is unknown whether posts leaked.")
    level = collected.leak_guard or "none"
    blocks: list[Block] = [Paragraph(f"Level “{level}”: {LEAK_GUARD_LEVELS.get(level, 'no guard')}.")]
    blocks.append(Paragraph(_held_out_claim(artifacts, collected.held_out)))
    if not collected.removed:
        return [*blocks, Paragraph("No post was removed.")]
    header = ("removed from", "because", "of", "exact copies", "near-duplicates", "posts")
    rows = tuple(
        _removal_row(key, matches) for key, matches in _count_removals(artifacts, collected.removed).items()
    )
    return [
        *blocks,
        TableBlock(f"Posts removed: {sum(r.posts for r in collected.removed):,}.", header, rows),
    ]


def _held_out_claim(artifacts: RunArtifacts, held_out: HeldOut) -> str:
    names = ", ".join(map(artifacts.set_name, held_out.sets))
    if held_out.verified:
        return (
            f"Held out: {names}. None of their posts, and no copy of one of their test posts, "
            "was used in training."
        )
    if held_out.sets:
        return (
            f"Held out: {names}, but {held_out.test_posts_left_in_training:,} test posts are still in "
            "training data, so these sets cannot be called unseen."
        )
    return "No set was held out, so no score here is for an unseen set."


RemovalKey = tuple[str, str, str]


def _count_removals(
    artifacts: RunArtifacts, removed: Sequence[RemovalCount]
) -> dict[RemovalKey, Counter[str]]:
    """Count removed posts: (removed from, reason, duplicates of) -> kind of match -> posts."""
    removals: dict[RemovalKey, Counter[str]] = {}
    for removal in removed:
        of_set = removal.duplicate_of_set and artifacts.set_name(removal.duplicate_of_set)
        duplicates_of = " ".join(filter(None, (of_set, removal.duplicate_of_split))) or EMPTY_CELL
        key = (f"{artifacts.set_name(removal.set)} {removal.split}", removal.reason, duplicates_of)
        removals.setdefault(key, Counter())[removal.match or ""] += removal.posts
    return removals


def _removal_row(key: RemovalKey, matches: Counter[str]) -> PageRow:
    removed_from, reason, duplicates_of = key
    counts = (count_cell(matches["exact"]), count_cell(matches["near"]), count_cell(matches.total()))
    return named_row(removed_from, [Cell(REMOVAL_REASONS.get(reason, reason)), Cell(duplicates_of), *counts])


def _overlap(artifacts: RunArtifacts) -> Sequence[Block]:
    overlap = artifacts.overlap
    if overlap is None:
        return missing_note("There is no collect/overlap.json in this run, so shared posts are unknown.")
    caption = (
        "Test posts of a set (row) of which a copy or near-duplicate is in training data of a set (column)."
    )
    before = _overlap_table(artifacts, f"{caption} Before the leak guard.", overlap, overlap.before_guard)
    blocks: list[Block] = [before]
    if overlap.after_guard is None:
        return blocks
    left = sum(map(sum, overlap.after_guard))
    if not left:
        return [*blocks, Paragraph("After the leak guard there are none.")]
    after = f"{caption} After the leak guard: {left:,} left."
    return [*blocks, _overlap_table(artifacts, after, overlap, overlap.after_guard)]


def _overlap_table(
    artifacts: RunArtifacts, caption: str, overlap: Overlap, counts: Sequence[Sequence[int]]
) -> TableBlock:
    tested = [index for index, posts in enumerate(overlap.test_posts) if posts]
    names = [artifacts.set_name(overlap.test_sets[index]) for index in tested]
    columns = [artifacts.set_name(name) for name in overlap.train_sets]
    posts = [overlap.test_posts[index] for index in tested]
    lines = [counts[index] for index in tested]
    heat = heat_table(caption, "test set", names, columns, lines, row_totals=posts)
    rows = tuple(
        PageRow((line.cells[0], count_cell(size), *line.cells[1:]))
        for line, size in zip(heat.rows, posts, strict=True)
    )
    return TableBlock(caption, ("test set", "test posts", *columns), rows, vertical_headers=True)


def _label_drift(artifacts: RunArtifacts) -> Sequence[Block]:
    if artifacts.drift is None:
        return missing_note("There is no collect/label_drift.json in this run, so labels were not compared.")
    if not artifacts.drift:
        return missing_note("No set is present both as released and upstream, so labels were not compared.")
    rows = tuple(
        named_row(
            artifacts.set_name(drift.set),
            [
                Cell(drift.question),
                count_cell(drift.rows),
                count_cell(drift.differ),
                number_cell(100 * drift.share, 1),
            ],
        )
        for drift in artifacts.drift
    )
    lead = "How often the label differs, of posts that are both in the release and in an upstream file."
    header = ("set", "question", "rows compared", "labels differ", "%")
    return [Paragraph(lead), TableBlock("Released against upstream labels.", header, rows)]
