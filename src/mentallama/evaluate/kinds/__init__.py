"""Answers of several parts, and of ordered levels, as the numbers that metrics are computed from."""
