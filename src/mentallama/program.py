"""How this program was called, so that a command that a message recommends can be typed as it is printed."""

from __future__ import annotations

import shlex
import shutil
import sys
from pathlib import Path

PROGRAM = "mentallama"


def program_words(argv0: str, interpreter: str, *, elsewhere: bool = False) -> list[str]:
    """The words that start this program in the reader's shell.

    A program that the shell finds by its name is called by it, one in a virtual environment that is not activated by
    its path, and one that Python runs as a module by both. In any other program that imports this package, such as a
    notebook, it is the plain name.

    Parameters
    ----------
    argv0, interpreter
        What is run, and the Python that runs it, as they were called.
    elsewhere
        Whether the words have to start it in any folder, so that relative paths become absolute.

    >>> program_words(".venv/bin/mentallama", "")
    ['.venv/bin/mentallama']
    >>> program_words("src/mentallama/__main__.py", "python")
    ['python', '-m', 'mentallama']
    >>> program_words("notebook.py", "python")
    ['mentallama']
    """
    path = Path(argv0)
    if path.name == "__main__.py" and path.parent.name == PROGRAM:
        return [_reachable(interpreter, elsewhere), "-m", PROGRAM]
    if path.name != PROGRAM or _is_found_by_name(path):
        return [PROGRAM]
    return [_reachable(argv0, elsewhere)]


def command_line(arguments: str, *, elsewhere: bool = False) -> str:
    """A command of this program as it can be typed here or, with `elsewhere`, in any folder.

    `arguments` are quoted for the shell already.
    """
    interpreter = sys.orig_argv[0] if sys.orig_argv else sys.executable
    return f"{shlex.join(program_words(sys.argv[0], interpreter, elsewhere=elsewhere))} {arguments}".rstrip()


def _reachable(called: str, elsewhere: bool) -> str:
    """The absolute path of a program that was called by a relative one."""
    return str(Path(called).absolute()) if elsewhere and Path(called).parent != Path() else called


def _is_found_by_name(path: Path) -> bool:
    found = shutil.which(PROGRAM)
    return path == Path(PROGRAM) or (found is not None and Path(found).absolute() == path.absolute())
