"""Evidence that is named by the symptoms it mentions."""

from __future__ import annotations

from mentallama.records import Span
from mentallama.symptoms import find_symptoms
from mentallama.symptoms.named_evidence import name_evidence

TEXT = "I can't sleep for weeks, my sister is so tired and the bus was late"


def span(quotation: str, weight: float | None) -> Span:
    start = TEXT.index(quotation)
    return Span(start=start, end=start + len(quotation), weight=weight)


def test_evidence_is_named_and_completed_to_the_mention() -> None:
    spans = [span("sleep for weeks", 0.5), span("tired", -2.0), span("bus was late", 3.0)]
    named = name_evidence(TEXT, spans, find_symptoms(TEXT))
    assert [str(each) for each in named] == [
        "fatigue (someone else's): “so tired”",
        "insomnia: “can't sleep for weeks”",
    ]
    assert [(each.weight, TEXT[each.start : each.end] == each.quotation) for each in named] == [
        (-2.0, True),
        (0.5, True),
    ]


def test_several_spans_of_a_mention_are_one() -> None:
    spans = [span("can't", 0.5), span("sleep for", None), span("sleep for weeks", 1.0)]
    (named,) = name_evidence(TEXT, spans, find_symptoms(TEXT))
    assert (named.quotation, named.weight) == ("can't sleep for weeks", 1.5)


def test_items_of_a_pack() -> None:
    spans = [span("can't sleep", 1.0), span("so tired", 0.5)]
    table = find_symptoms(TEXT)
    assert [each.name for each in name_evidence(TEXT, spans, table, "PHQ-9")] == ["sleep", "energy"]
    assert [each.name for each in name_evidence(TEXT, spans, table, "DSM-5-PTSD")] == ["E6"]
    assert name_evidence(TEXT, [], table) == ()
    assert name_evidence(TEXT, spans, table, "GAD-7") == ()
