"""The schema of `scores.json`."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal, overload

from mentallama.data_frames import Column, FrameLibrary, make_frame
from mentallama.evaluate.kinds.part_table import applied_metrics
from mentallama.evaluate.published.reader import PublishedScore
from mentallama.evaluate.published.upstream_scores import UpstreamScores
from mentallama.evaluate.scores import Scores
from mentallama.explanation_metrics.llm_judge.summary import JudgeSummary
from mentallama.explanation_metrics.scoring import SetExplanationScores
from mentallama.files.record_files import read_record
from mentallama.metrics.bootstrap import Resampling
from mentallama.metrics.registry import KIND_METRICS, METRICS
from mentallama.records import READING_STATUSES, Form, Record, SampleSize

if TYPE_CHECKING:
    import pandas
    import polars


class MatchedFile(Record):
    """The benchmark file that a set's outputs answer."""

    file: str
    """Path below the benchmark's folder."""
    rows: int
    aligned_by: Literal["rows", "references"]
    """"rows": same order; "references": reordered by reference text."""


class ScoreFile(Record):
    """The content of `scores.json`, without times or names of machines: the same inputs give the same bytes."""

    form: Form
    source: dict[str, str]
    """The scored input: its `kind` (predictions, responses or answers), and its name under `model` or `responses`."""
    resampling: Resampling
    sets: dict[str, Scores]
    majority: dict[str, float] = {}
    """Weighted F1 in percent, on the same rows, of the label that is most frequent among the training rows of each
    question, by set; a set without training rows is left out."""
    missing: tuple[str, ...]
    """Sets of the catalogue without a score, for the reasons in `missing_reasons`."""
    missing_reasons: dict[str, str]
    missing_rows: dict[str, tuple[str, ...]] = {}
    """Set -> example ids of labelled test rows without a prediction."""
    unlabelled: dict[str, int] = {}
    """Set -> test rows without a label, which cannot be scored."""
    synthetic_rows: dict[str, int] = {}
    """Set -> scored rows about synthetic posts, whose scores say nothing about posts of people."""
    against_upstream: dict[str, UpstreamScores] = {}
    """The same answers against the release's labels and against upstream labels, for sets whose posts have both."""
    unused: tuple[str, ...] = ()
    """Input that matches no row: file names, or ids of predictions."""
    samples: dict[str, SampleSize] = {}
    """Sets whose scores are on a random sample of the test rows."""
    matched_files: dict[str, MatchedFile] = {}
    as_published: dict[str, PublishedScore] | None = None
    explanation_metrics: dict[str, SetExplanationScores] | None = None
    """Scores of the explanations by set; None where no metric was computed."""
    metric_names: dict[str, str] = {}
    """Explanation metric -> the model that it was computed with, where it needs one."""
    judge: JudgeSummary | None = None
    """The calls of an LLM judge, and how far it agrees with people; None where none was asked."""

    def weighted_f1(self) -> dict[str, float]:
        """Weighted F1 by set, in percent."""
        return {name: scores.weighted_f1 for name, scores in self.sets.items()}

    def __getitem__(self, name: str) -> Scores:
        """The scores of a set.

        Raises
        ------
        KeyError
            The set has no score; the message says why, if that is known.
        """
        if name not in self.sets:
            known = f"there are scores of {', '.join(self.sets)}"
            raise KeyError(f"{name}: {self.missing_reasons.get(name, known)}")
        return self.sets[name]

    def to_dicts(self) -> list[dict[str, Any]]:
        """One dictionary per set: its metrics, the ends of the 95 % interval of weighted F1, and the counts.

        Metrics are in percent, but for those of ordered levels. One that a set does not have is None.
        """
        columns = self._table_columns()
        return [
            _table_row(name, scores, self.majority.get(name), columns) for name, scores in self.sets.items()
        ]

    def _table_columns(self) -> tuple[str, ...]:
        """The columns of all sets, and behind them those of the kinds of answer that there are."""
        kinds = {scores.kind for scores in self.sets.values()}
        names = [metric.name for kind in KIND_METRICS if kind in kinds for metric in KIND_METRICS[kind]]
        return tuple(dict.fromkeys([*_TABLE_COLUMNS, *names]))

    @overload
    def to_frame(self, library: Literal["pandas"] = ...) -> pandas.DataFrame: ...
    @overload
    def to_frame(self, library: Literal["polars"]) -> polars.DataFrame: ...
    def to_frame(self, library: FrameLibrary = "pandas") -> pandas.DataFrame | polars.DataFrame:
        """The scores as a data frame of pandas or polars: a row per set, and the columns of `to_dicts`.

        Raises
        ------
        UsageError
            The library is not installed.
        """
        rows = self.to_dicts()
        columns = [
            Column(
                name, [row[name] for row in rows], str if name == "set" else int if name in _COUNTS else float
            )
            for name in self._table_columns()
        ]
        frame: pandas.DataFrame | polars.DataFrame = make_frame(columns, library)
        return frame

    def __repr_args__(self) -> list[tuple[str | None, Any]]:
        """Weighted F1 by set and the sets without a score; everything else is many pages."""
        shown: dict[str, Any] = {"weighted_f1": self.weighted_f1(), "missing": list(self.missing)}
        return [(name, value) for name, value in shown.items() if value]

    def _repr_html_(self) -> str:
        from jinja2 import Environment

        return (
            Environment(autoescape=True)
            .from_string(_TABLE)
            .render(
                kinds=[
                    (
                        [
                            metric
                            for metric in applied_metrics(kind, self.sets.values())
                            if metric.in_terminal
                        ],
                        {name: scores for name, scores in self.sets.items() if scores.kind == kind},
                    )
                    for kind in KIND_METRICS
                ],
                statuses=READING_STATUSES[1:],
                reasons=self.missing_reasons,
                majority=self.majority,
            )
        )


_COUNTS = ("n", "posts", "parsed", "unparsed", "refused", "truncated")
_TABLE_COLUMNS = (
    "set",
    *_COUNTS[:2],
    METRICS[0].name,
    *(f"{METRICS[0].name}_{end}" for end in ("low", "high")),
    "majority",
    *(metric.name for metric in METRICS[1:]),
    *_COUNTS[2:],
    "brier",
    "ece",
)

_TABLE = """{% for metrics, sets in kinds if sets %}<div style="overflow-x:auto"><table>
<thead><tr><th>set</th><th>rows</th>
{%- for metric in metrics %}<th>{{ metric.title }}</th>
{%- if loop.first %}<th>95 %</th><th>majority</th>{% endif %}{% endfor %}
{%- for status in statuses %}<th>{{ status }}</th>{% endfor %}</tr></thead>
<tbody>
{% for name, scores in sets.items() %}<tr><th>{{ name }}</th><td>{{ scores.n }}</td>
{%- set ends = scores.weighted_f1_interval %}
{%- for metric in metrics %}
{#- #}<td>{{ "%.*f" | format(metric.digits, scores.metrics[metric.name]) if metric.name in scores.metrics }}</td>
{%- if loop.first %}<td>{{ "%.1f–%.1f" | format(*ends) if ends }}</td>
{#- #}<td>{{ "%.2f" | format(majority[name]) if name in majority }}</td>{% endif %}
{%- endfor %}
{%- for status in statuses %}<td>{{ scores[status] }}</td>{% endfor %}</tr>
{% endfor %}</tbody></table></div>
{% endfor %}{% for name, reason in reasons.items() %}<div>{{ name }} has no score: {{ reason }}</div>
{% endfor %}"""
"""The terminal's tables, one for each kind of answer; scrolled where the page is narrower."""


def _table_row(name: str, scores: Scores, majority: float | None, columns: tuple[str, ...]) -> dict[str, Any]:
    low, high = scores.weighted_f1_interval or (None, None)
    calibration = scores.calibration
    row = {
        "set": name,
        **{count: getattr(scores, count) for count in _COUNTS},
        **scores.metrics,
        f"{METRICS[0].name}_low": low,
        f"{METRICS[0].name}_high": high,
        "majority": majority,
        "brier": None if calibration is None else calibration.brier,
        "ece": None if calibration is None else calibration.ece,
    }
    return {column: row.get(column) for column in columns}


def read_scores(path: Path) -> ScoreFile:
    """Read `scores.json`."""
    return read_record(path, ScoreFile)
