"""Scales filled item by item: a model fills, another checks, single items come back, and then a label is decided.

The procedure generalises MAIMS (Li et al. 2024, Zero-shot explainable mental health analysis on social media by
incorporating mental scales): any scale, any question, evidence for every item, and a bounded number of revisions.
"""
