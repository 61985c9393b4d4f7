"""The table of gates agrees with the recipe's keys and with the documentation."""

from __future__ import annotations

from pathlib import Path

from mentallama.check.gates import GATES, PARSED_GATE, PARSED_PASSES_IF
from mentallama.config import GATE_NAMES, Check

ROOT = Path(__file__).parents[3]


def test_every_gate_has_a_key_in_the_recipe() -> None:
    assert [gate.name for gate in GATES] == list(GATE_NAMES)
    assert set(Check.gate_keys().values()) < set(Check.model_fields)


def test_the_page_describes_every_gate_in_the_order_of_the_table() -> None:
    lines = (ROOT / "docs/check.md").read_text(encoding="utf-8").splitlines()
    start = next(number for number, line in enumerate(lines) if line.startswith("| Gate |")) + 2
    expected = [f"| `{PARSED_GATE}` | {PARSED_PASSES_IF} | always on |"]
    expected += [f"| `{gate.name}` | {gate.passes_if} | `{Check.gate_keys()[gate.name]}`: " for gate in GATES]
    rows = lines[start : start + len(expected) + 1]
    assert all(row.startswith(begin) for row, begin in zip(rows, expected, strict=False))
    assert rows[-1] == ""


def test_a_gate_is_disabled_by_null_or_false_except_one_that_also_reports_without_a_threshold() -> None:
    settings = Check(label_match=False, length=None, min_chrf=None)
    assert settings.disabled_gates() == ["label_match", "length"]
    assert Check(max_ungrounded_quotes=0).disabled_gates() == []
