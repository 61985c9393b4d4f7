"""Evaluate: scores of answers against labels.

The package can be called, and has the help of what it calls: `mentallama.evaluate(answers, labels)` is the function in
`evaluate/answers.py`. Python sets the name of a package in its parent whenever a module of it is imported, so a
function of the same name would be replaced by it.
"""

from __future__ import annotations

import sys
from types import ModuleType
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from inspect import Signature


class CallablePackage(ModuleType):  # what would be its docstring is a property: the help of the function
    @property
    def __doc__(self) -> str | None:  # type: ignore[override]
        """The help of the function, which notebooks show."""
        from mentallama.evaluate.answers import evaluate

        return evaluate.__doc__

    @property
    def __signature__(self) -> Signature:
        from inspect import signature

        from mentallama.evaluate.answers import evaluate

        return signature(evaluate)

    def __call__(self, *args: Any, **options: Any) -> Any:
        from mentallama.evaluate.answers import evaluate

        return evaluate(*args, **options)


sys.modules[__name__].__class__ = CallablePackage
