"""Explanations judged by a language model, by a rubric with the four aspects that the paper has people rate."""
