"""The non-clinical notice that every output contains."""

NOTICE = (
    "For research only. This is not a diagnosis and must not be used as one: the label and the reason "
    "come from a statistical model reading one post, not from a person who knows the writer. "
    "If you or someone else may be in danger, call the local emergency number or a crisis line."
)
