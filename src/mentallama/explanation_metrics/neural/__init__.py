"""Metrics of explanations that run a model from a folder: BARTScore, BERTScore, likelihood and contradiction."""
