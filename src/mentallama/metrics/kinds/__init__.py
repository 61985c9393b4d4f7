"""Metrics of the kinds of answer that are more than one label of a list: ordinal, multi, scale and spans."""
