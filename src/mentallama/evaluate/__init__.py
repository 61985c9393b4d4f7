"""Evaluate: scores of answers against labels.

The package can be called: `mentallama.evaluate(answers, labels)` is `mentallama.evaluate.answers.evaluate`, which its
help describes (`help(mentallama.evaluate.__call__)`). Python sets the name of a package in its parent whenever a module
of it is imported, so a function of the same name would be replaced by it.
"""

from __future__ import annotations

import sys
from types import ModuleType
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from inspect import Signature


class CallablePackage(ModuleType):
    """This package, with the function that scores answers as its call."""

    def __call__(self, *args: Any, **options: Any) -> Any:
        from mentallama.evaluate.answers import evaluate

        return evaluate(*args, **options)

    @property
    def __signature__(self) -> Signature:
        from inspect import signature

        from mentallama.evaluate.answers import evaluate

        return signature(evaluate)


sys.modules[__name__].__class__ = CallablePackage
