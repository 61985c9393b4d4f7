"""Reasons that a language model writes from the evidence of an answer alone, and that are verified."""
