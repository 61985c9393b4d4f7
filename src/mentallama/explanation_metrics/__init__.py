"""Scores of explanations: against references, against the post, against the label, and by other models."""
