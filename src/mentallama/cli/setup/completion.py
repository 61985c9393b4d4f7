"""Shell completion of recipes, tasks and models. Nothing heavy is imported, and no file is read whole.

Where nothing is offered, the shell completes names of files. A file that cannot be read offers nothing, because the
shell would print an error into the line that is being typed.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from contextlib import suppress
from importlib.resources import files
from itertools import islice
from pathlib import Path

import typer

from mentallama.analysts.registry import ANALYSTS, model_spec, trained_models
from mentallama.errors import MentallamaError

RUNS = Path("runs")
_SET_LINE = re.compile(r"""set:\s*(?:"([^"]+)"|'([^']+)'|([^\s#]+))""")
_LINES_READ = 60
"""First lines of a task file, behind whose comments the name of its set is looked for."""


def complete_recipes(incomplete: str) -> list[str]:
    """Recipes whose path begins like this: those in the folder that is typed, or here and in `recipes/`."""
    typed = Path(incomplete)
    folders = (
        [typed if incomplete.endswith("/") else typed.parent]
        if "/" in incomplete
        else [Path(), Path("recipes")]
    )
    paths = (path for folder in folders for path in folder.glob("*.y*ml"))
    return sorted(str(path) for path in paths if str(path).startswith(incomplete.removeprefix("./")))


def complete_tasks(context: typer.Context, incomplete: str) -> list[str]:
    """Names of tasks that begin like this: of the package, and of `--tasks` if it stands before."""
    folders = [Path(str(files("mentallama.tasks") / "data"))]
    own = context.params.get("tasks_folder")
    names = {name for folder in [*folders, *([Path(own)] if own else [])] for name in _set_names(folder)}
    return sorted(name for name in names if name.startswith(incomplete))


def _set_names(folder: Path) -> Iterator[str]:
    for path in folder.glob("*.y*ml"):
        with suppress(OSError, UnicodeDecodeError), path.open(encoding="utf-8") as lines:
            found = next(filter(None, map(_SET_LINE.match, islice(lines, _LINES_READ))), None)
            if found is not None:
                yield next(filter(None, found.groups()))


def complete_models(incomplete: str) -> list[str]:
    """Specs that begin like this: the models of `runs/`, and every kind of analyst."""
    specs = [f"{kind}:" for kind in ANALYSTS]
    for folder in trained_models(RUNS):
        with suppress(MentallamaError, OSError):
            specs += [spec] if (spec := model_spec(folder)) else []
    return sorted(spec for spec in specs if spec.startswith(incomplete))
