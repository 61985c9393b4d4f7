"""The non-clinical notices, of which every output contains one."""

_NO_DIAGNOSIS = "For research only. This is not a diagnosis and must not be used as one: "
_NOT_A_PERSON = "not from a person who knows the writer. "
_HELP = "If you or someone else may be in danger, call the local emergency number or a crisis line."

NOTICE = (
    f"{_NO_DIAGNOSIS}the label and the reason come from a statistical model reading one post, "
    f"{_NOT_A_PERSON}{_HELP}"
)

SYMPTOM_NOTICE = (
    f"{_NO_DIAGNOSIS}mentions of symptoms and sums of items come from a program, {_NOT_A_PERSON}{_HELP}"
)
"""Of what has no label: mentions of symptoms, and filled scales."""
