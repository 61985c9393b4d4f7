"""Answers of several parts (kinds multi, scale and spans) as models write them: lists and JSON objects.

A reading is never a guess: every member of a list or object has to be a label, item or level of the task.
"""

from mentallama.answers.composite.reader import read_composite

__all__ = ["read_composite"]
