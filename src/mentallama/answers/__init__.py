"""Answers as text: writing and reading them, by one rule for references and model output."""
