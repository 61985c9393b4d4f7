"""Explain: evidence for the answers of a model, and tests of whether the model rests on it."""
