"""The task catalogue: one YAML file per task in `data/`.

These files are the only place where a question, a label, an alias or an answer sentence is spelled out. A new task, in
any language, is a new file and needs no code.
"""

from mentallama.tasks.catalogue import QuestionKey, find_task, load_tasks, read_task, select_questions
from mentallama.tasks.query_format import read_query, write_query
from mentallama.tasks.schema import Task
from mentallama.tasks.sources import ColumnMap, LabelsFile, Source, normalize_code
from mentallama.tasks.wording import ExplanationTemplate, Label, Question

__all__ = [
    "ColumnMap",
    "ExplanationTemplate",
    "Label",
    "LabelsFile",
    "Question",
    "QuestionKey",
    "Source",
    "Task",
    "find_task",
    "load_tasks",
    "normalize_code",
    "read_query",
    "read_task",
    "select_questions",
    "write_query",
]
