"""Symptoms that a post mentions, the criteria and scales that name them, and sums of scales that somebody filled."""

from mentallama.symptoms.catalogue import find_pack, load_packs
from mentallama.symptoms.matcher import SymptomMatcher, SymptomMention, SymptomTable, find_symptoms
from mentallama.symptoms.packs import CriterionPack
from mentallama.symptoms.scoring import ScaleResult, ScaleScore, score_scale
from mentallama.symptoms.task_scales import score_answer

__all__ = [
    "CriterionPack",
    "ScaleResult",
    "ScaleScore",
    "SymptomMatcher",
    "SymptomMention",
    "SymptomTable",
    "find_pack",
    "find_symptoms",
    "load_packs",
    "score_answer",
    "score_scale",
]
