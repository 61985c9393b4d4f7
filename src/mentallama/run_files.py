"""Paths of the files of a run.

`..._FILE` is a file's name inside the folder of the stage that writes it; `..._PATH` is a path relative to the folder
of the run. docs/data_formats.md describes what the files contain.
"""

from __future__ import annotations

MANIFEST_FILE = "manifest.json"
"""Inputs, outputs, settings and versions of a stage; in the folder of each finished stage."""
SUMMARY_FILE = "summary.json"
"""Counts of a stage; written by collect, teach, check, train and predict."""
LOCK_PATH = ".lock"
ERASURE_LIST_PATH = "erasure_list.json"

# collect
POSTS_FILE = "posts.jsonl.zst"
RESPONSES_FILE = "responses.jsonl.zst"
"""Written by collect (the published references) and by teach (the teachers' answers)."""
REJECTS_FILE = "rejects.jsonl"
REMOVED_FILE = "removed.jsonl"
OVERLAP_FILE = "overlap.json"
LABEL_DRIFT_FILE = "label_drift.json"
UPSTREAM_LABELS_FILE = "upstream_labels.jsonl.zst"

COLLECT_SUMMARY_PATH = f"collect/{SUMMARY_FILE}"
POSTS_PATH = f"collect/{POSTS_FILE}"
RELEASE_RESPONSES_PATH = f"collect/{RESPONSES_FILE}"
REJECTS_PATH = f"collect/{REJECTS_FILE}"
REMOVED_PATH = f"collect/{REMOVED_FILE}"
OVERLAP_PATH = f"collect/{OVERLAP_FILE}"
LABEL_DRIFT_PATH = f"collect/{LABEL_DRIFT_FILE}"
UPSTREAM_LABELS_PATH = f"collect/{UPSTREAM_LABELS_FILE}"

# teach
FAILED_REQUESTS_FILE = "failed_requests.jsonl"
TEACHER_DISAGREEMENTS_FILE = "disagreements.jsonl"
SCALE_TRACES_FILE = "scale_traces.jsonl.zst"
"""How scales were filled, with `teach.method: item-by-item`."""

LEDGER_PATH = "ledger.sqlite"
BATCH_FOLDER = "batch"
TEACH_SUMMARY_PATH = f"teach/{SUMMARY_FILE}"
TEACH_RESPONSES_PATH = f"teach/{RESPONSES_FILE}"
FAILED_REQUESTS_PATH = f"teach/{FAILED_REQUESTS_FILE}"

# check
INSTRUCTIONS_FILE = "instructions.jsonl.zst"
VERDICTS_FILE = "verdicts.jsonl.zst"
DROPPED_FILE = "dropped.jsonl"
QUOTES_FILE = "quotes.jsonl.zst"
GATE_REPORT_FILE = "gates.json"
GATE_REPORT_PAGE_FILE = "gates.md"
CROISSANT_FILE = "croissant.json"
"""Croissant metadata of the built data set; there is none without an accepted row."""

CHECK_SUMMARY_PATH = f"check/{SUMMARY_FILE}"
INSTRUCTIONS_PATH = f"check/{INSTRUCTIONS_FILE}"
VERDICTS_PATH = f"check/{VERDICTS_FILE}"
GATE_REPORT_PATH = f"check/{GATE_REPORT_FILE}"
GATE_REPORT_PAGE_PATH = f"check/{GATE_REPORT_PAGE_FILE}"

# filled in by people between two runs of `check`
DISAGREEMENTS_FILE = "disagreements.csv"
RATING_SAMPLE_FILE = "sample.csv"

REVIEW_FOLDER = "review"
DISAGREEMENTS_PATH = f"{REVIEW_FOLDER}/{DISAGREEMENTS_FILE}"
RATING_SAMPLE_PATH = f"{REVIEW_FOLDER}/{RATING_SAMPLE_FILE}"

# train
TRAIN_FOLDER = "train"
CHECKPOINTS_FOLDER = "checkpoints"
"""Checkpoints to resume from, in the run's folder; removed when training has finished."""
BASELINE_FILE = "baseline.json"
"""Metrics of the untrained model, in the run's folder; removed when training has finished."""
METRICS_FILE = "metrics.jsonl"
"""Metrics of every step and evaluation; until training has finished, the file is among the checkpoints."""
TENSORBOARD_FOLDER = "tensorboard"
"""Event files of TensorBoard, in the run's folder; a subfolder for each training."""
TRAIN_METRICS_PATH = f"{TRAIN_FOLDER}/{METRICS_FILE}"
TRAIN_SUMMARY_PATH = f"{TRAIN_FOLDER}/{SUMMARY_FILE}"

# predict
PREDICTIONS_FILE = "predictions.jsonl.zst"
QUESTIONS_FILE = "questions.jsonl.zst"
RESPONSES_FOLDER = "responses"
"""One CSV file per set, in the layout that the published evaluation scripts read."""

PREDICT_SUMMARY_PATH = f"predict/{SUMMARY_FILE}"
PREDICT_FAILED_PATH = f"predict/{FAILED_REQUESTS_FILE}"
PREDICTIONS_PATH = f"predict/{PREDICTIONS_FILE}"

# explain
EVIDENCE_FILE = "evidence.jsonl.zst"
FAITHFULNESS_FILE = "faithfulness.json"
REASONS_FILE = "reasons.jsonl.zst"
"""Reasons that a language model wrote from the evidence alone, with `explain.text: bound`."""
REASONS_LEDGER_PATH = "reasons.ledger.sqlite"
"""The replies of the model that writes them, in the run's folder."""

EVIDENCE_PATH = f"explain/{EVIDENCE_FILE}"
FAITHFULNESS_PATH = f"explain/{FAITHFULNESS_FILE}"
REASONS_PATH = f"explain/{REASONS_FILE}"
EXPLAIN_METRICS_PATH = f"explain/{METRICS_FILE}"

# evaluate
SCORES_FILE = "scores.json"
SCORED_ROWS_FILE = "rows.jsonl.zst"
EXPLANATION_ROWS_FILE = "explanations.jsonl.zst"
READER_DIFFERENCES_FILE = "readers_differ.json"
META_EVALUATION_FILE = "meta_evaluation.json"
"""Of the command meta-evaluate, in a folder without a recipe."""
JUDGE_LEDGER_PATH = "judge.ledger.sqlite"
"""The verdicts of an LLM judge, in the run's folder, or beside scores without a recipe."""

SCORES_PATH = f"evaluate/{SCORES_FILE}"

# reproduce
CLAIMS_FILE = "claims.json"
CLAIMS_PAGE_FILE = "claims.md"
# robustness
FLIPS_FILE = "flips.jsonl.zst"
ROBUSTNESS_FILE = "robustness.json"
ROBUSTNESS_PAGE_FILE = "robustness.md"

# report
REPORT_PAGE_FILE = "index.html"
REPORT_TEXT_FILE = "report.md"
COMPARISON_FILE = "comparison.json"
"""Everything on a page of several systems, for programs."""
REPORT_FILES_FOLDER = "files"
"""Every table of the page and every figure, in these formats by their names."""
REPORT_TABLE_FORMATS = {"CSV": "csv", "LaTeX": "tex"}
REPORT_FIGURE_FORMATS = {"SVG": "svg", "PDF": "pdf", "PNG": "png"}

REPORT_PAGE_PATH = f"report/{REPORT_PAGE_FILE}"
