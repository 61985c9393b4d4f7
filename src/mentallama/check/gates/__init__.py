"""The quality gates. To add one: a module here, its key in `config.check.Check`, and one line in `GATES`."""

from __future__ import annotations

from mentallama.check.gate import CorpusGate, Gate, RowGate
from mentallama.check.gates.label_consistency import judge_label_consistency
from mentallama.check.gates.label_match import judge_label_match
from mentallama.check.gates.language import check_language
from mentallama.check.gates.length import check_length
from mentallama.check.gates.personal_data import check_personal_data
from mentallama.check.gates.prompt_leakage import check_prompt_leakage
from mentallama.check.gates.quote_grounding import check_quote_grounding
from mentallama.check.gates.reference_overlap import judge_reference_overlap
from mentallama.check.gates.repeated_explanation import judge_repeated_explanations
from mentallama.check.gates.statements import check_advice, check_diagnosis

PARSED_GATE = "parsed"
"""Comes before all others and cannot be disabled: whether there is an answer to judge."""
PARSED_PASSES_IF = "its answer names one label, is not a refusal and is complete"

GATES: tuple[Gate, ...] = (
    CorpusGate("label_match", "its label is the data set's, or a reviewer decided for it", judge_label_match),
    CorpusGate(
        "label_consistency",
        "its label can be predicted from the explanation alone",
        judge_label_consistency,
        table_title="Labels predicted from the explanation alone",
    ),
    RowGate("quote_grounding", "what it quotes is in the post", check_quote_grounding),
    RowGate("language", "it is in the language of the post or of the task", check_language, on_off=True),
    RowGate("length", "its number of words is within the bounds", check_length),
    RowGate("prompt_leakage", "it neither copies its instructions nor mentions them", check_prompt_leakage),
    RowGate("diagnosis", "it does not state a diagnosis as fact", check_diagnosis, on_off=True),
    RowGate("advice", "it gives the author no advice", check_advice, on_off=True),
    RowGate("personal_data", "it contains no personal data", check_personal_data, on_off=True),
    CorpusGate(
        "repeated_explanation",
        "it does not repeat the explanation of another post",
        judge_repeated_explanations,
    ),
    CorpusGate(
        "reference_overlap",
        "it is close enough to a reference, where there is one",
        judge_reference_overlap,
        table_title="Overlap with reference explanations",
    ),
)
"""Every gate, in the order in which verdicts are written and reported."""
