"""Answers as text: `write_answer` and `read_answer` are inverse functions, with one rule for references and model
output.
"""

from mentallama.answers.format import write_answer
from mentallama.answers.parse import read_answer

__all__ = ["read_answer", "write_answer"]
