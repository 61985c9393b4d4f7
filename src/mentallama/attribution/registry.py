"""The table of attribution methods. To add one, write its module in `methods/` and add an entry to the table.

Optional libraries are imported only when a method that needs them is opened.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from importlib.util import find_spec
from typing import TYPE_CHECKING, Literal, cast

from mentallama.analysts.base import Analyst
from mentallama.attribution.base import AttributionMethod, Effort
from mentallama.attribution.log_odds import no_probabilities
from mentallama.errors import UsageError
from mentallama.extras import install_hint
from mentallama.text.suggestions import did_you_mean

if TYPE_CHECKING:
    from mentallama.analysts.encoder.analyst import EncoderAnalyst
    from mentallama.analysts.linear.analyst import LinearAnalyst


@dataclass(frozen=True)
class AttributionKind:
    """A method of attribution.

    Parameters
    ----------
    load
        `(analyst)` opens the method for it.
    help
        A phrase on what the method does, for help pages and tables.
    analyst
        The kind of analyst that it explains; None: all that give probabilities.
    libraries
        Libraries of the extra `explain` that it needs, by import name.
    """

    load: Callable[[Analyst], AttributionMethod]
    help: str
    analyst: Literal["linear", "encoder"] | None = None
    libraries: tuple[str, ...] = ()


def _load_exact(analyst: Analyst) -> AttributionMethod:
    from mentallama.attribution.methods.linear_exact import ExactAttribution

    return ExactAttribution(cast("LinearAnalyst", analyst))


def _load_integrated_gradients(analyst: Analyst) -> AttributionMethod:
    from mentallama.attribution.methods.encoder_gradients import IntegratedGradients

    return IntegratedGradients(cast("EncoderAnalyst", analyst))


def _load_gradient_times_input(analyst: Analyst) -> AttributionMethod:
    from mentallama.attribution.methods.encoder_gradients import GradientTimesInput

    return GradientTimesInput(cast("EncoderAnalyst", analyst))


def _load_attention(analyst: Analyst) -> AttributionMethod:
    from mentallama.attribution.methods.encoder_attention import AttentionWeights

    return AttentionWeights(cast("EncoderAnalyst", analyst))


def _load_shap(analyst: Analyst) -> AttributionMethod:
    from mentallama.attribution.methods.shap_lime import ShapAttribution

    is_encoder = analyst.kind == "encoder"
    return ShapAttribution(analyst, cast("EncoderAnalyst", analyst).mask_token if is_encoder else None)


def _load_lime(analyst: Analyst) -> AttributionMethod:
    from mentallama.attribution.methods.shap_lime import LimeAttribution

    return LimeAttribution(analyst)


def _load_occlusion(analyst: Analyst) -> AttributionMethod:
    from mentallama.attribution.methods.occlusion import Occlusion

    return Occlusion(analyst)


def _load_hierarchical_occlusion(analyst: Analyst) -> AttributionMethod:
    from mentallama.attribution.methods.occlusion import Occlusion
    from mentallama.attribution.units import sentence_units

    return Occlusion(analyst, larger_units=sentence_units)


def _load_random(analyst: Analyst) -> AttributionMethod:
    from mentallama.attribution.methods.random_weights import RandomAttribution

    return RandomAttribution()


ATTRIBUTION_METHODS: dict[str, AttributionKind] = {
    "exact": AttributionKind(_load_exact, "contributions of words that add up to the decision", "linear"),
    "integrated-gradients": AttributionKind(
        _load_integrated_gradients, "gradients between padding and the post", "encoder"
    ),
    "gradient-x-input": AttributionKind(
        _load_gradient_times_input, "gradients at the post, times its embeddings", "encoder"
    ),
    "attention": AttributionKind(
        _load_attention, "attention of the last layer, for comparison: shares, no log-odds", "encoder"
    ),
    "occlusion": AttributionKind(_load_occlusion, "what the log-odds lose when a clause is left out"),
    "hierarchical-occlusion": AttributionKind(
        _load_hierarchical_occlusion, "what the log-odds lose when a clause or a sentence is left out"
    ),
    "shap": AttributionKind(_load_shap, "Owen values of words by shap, for comparison", None, ("shap",)),
    "lime": AttributionKind(
        _load_lime, "a local linear model of words by lime, for comparison", None, ("lime",)
    ),
    "random": AttributionKind(_load_random, "random weights of words, for comparison"),
}
"""Methods by name."""

_DEFAULT_METHODS: dict[str, dict[Effort, str]] = {
    "linear": {"fast": "exact", "full": "exact"},
    "encoder": {"fast": "integrated-gradients", "full": "integrated-gradients"},
}
"""Methods by kind of analyst."""

_DEFAULT_OCCLUSION: dict[Effort, str] = {"fast": "occlusion", "full": "hierarchical-occlusion"}
"""Methods for all other analysts, which need nothing but probabilities."""


def method_problem(name: str, analyst_kind: str) -> str | None:
    """A sentence if there is no such method, its library is missing, or it does not explain this kind of analyst."""
    kind = ATTRIBUTION_METHODS.get(name)
    if kind is None:
        return f"there is no attribution method {name!r}; {did_you_mean(name, ATTRIBUTION_METHODS)}"
    missing = [library for library in kind.libraries if find_spec(library) is None]
    if missing:
        libraries = ", ".join(missing)
        return f"the attribution method {name} needs {libraries}; install it with {install_hint('explain')}"
    if kind.analyst not in {None, analyst_kind}:
        return f"the attribution method {name} explains {kind.analyst} analysts, not {analyst_kind}; use occlusion"
    return None


def open_attribution(name: str, analyst: Analyst) -> AttributionMethod:
    """Open a method for an analyst.

    Raises
    ------
    UsageError
        There is no such method, its library is not installed, or it cannot explain such an analyst, for example because
        the analyst gives no probabilities.
    """
    if not analyst.gives_probabilities:
        raise no_probabilities(analyst)
    if problem := method_problem(name, analyst.kind):
        raise UsageError(problem)
    return ATTRIBUTION_METHODS[name].load(analyst)


def default_method(analyst: Analyst, effort: Effort) -> str:
    """The method that explains an analyst if none is named."""
    return _DEFAULT_METHODS.get(analyst.kind, _DEFAULT_OCCLUSION)[effort]
