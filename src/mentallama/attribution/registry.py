"""The table of attribution methods. To add one, write its module in this package and add an entry to the table."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from importlib.util import find_spec

from mentallama.analysts.base import Analyst
from mentallama.attribution.base import AttributionMethod, Effort
from mentallama.attribution.linear_exact import load_exact
from mentallama.attribution.log_odds import no_probabilities
from mentallama.attribution.occlusion import load_occlusion
from mentallama.attribution.random_weights import load_random
from mentallama.errors import UsageError
from mentallama.extras import install_hint
from mentallama.text.suggestions import did_you_mean


@dataclass(frozen=True)
class AttributionKind:
    """A method of attribution.

    Parameters
    ----------
    load
        `(analyst)` opens the method for it; raises `UsageError` if the method cannot explain such an analyst.
    help
        A phrase on what the method does, for help pages and tables.
    analysts
        Kinds of analyst that it explains, by the prefix of their specs; None: all that give probabilities.
    libraries
        Libraries of the extra `explain` that it needs, by import name.
    """

    load: Callable[[Analyst], AttributionMethod]
    help: str
    analysts: tuple[str, ...] | None = None
    libraries: tuple[str, ...] = ()


ATTRIBUTION_METHODS: dict[str, AttributionKind] = {
    "exact": AttributionKind(load_exact, "contributions of words that add up to the decision", ("linear",)),
    "occlusion": AttributionKind(load_occlusion, "what the log-odds lose when a clause is left out"),
    "random": AttributionKind(load_random, "random weights of words, for comparison"),
}
"""Methods by name."""


def method_problem(name: str, analyst_kind: str) -> str | None:
    """A sentence if there is no such method, its library is missing, or it does not explain this kind of analyst."""
    kind = ATTRIBUTION_METHODS.get(name)
    if kind is None:
        return f"there is no attribution method {name!r}; {did_you_mean(name, ATTRIBUTION_METHODS)}"
    missing = [library for library in kind.libraries if find_spec(library) is None]
    if missing:
        libraries = ", ".join(missing)
        return f"the attribution method {name} needs {libraries}; install it with {install_hint('explain')}"
    if kind.analysts is not None and analyst_kind not in kind.analysts:
        return f"the attribution method {name} explains {' and '.join(kind.analysts)} analysts, not {analyst_kind}"
    return None


def open_attribution(name: str, analyst: Analyst) -> AttributionMethod:
    """Open a method for an analyst.

    Raises
    ------
    UsageError
        There is no such method, its library is not installed, or it cannot explain such an analyst, for example because
        the analyst gives no probabilities.
    """
    kind = ATTRIBUTION_METHODS.get(name)
    if kind is None:
        raise UsageError(
            f"there is no attribution method {name!r}; {did_you_mean(name, ATTRIBUTION_METHODS)}"
        )
    missing = [library for library in kind.libraries if find_spec(library) is None]
    if missing:
        raise UsageError(
            f"the attribution method {name} needs {', '.join(missing)}; install it with {install_hint('explain')}"
        )
    if not analyst.gives_probabilities:
        raise no_probabilities(analyst)
    return kind.load(analyst)


def default_method(analyst: Analyst, effort: Effort) -> str:
    """The method that explains an analyst if none is named."""
    return analyst.attribution_methods[effort]
