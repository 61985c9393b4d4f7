"""Metrics and statistics: classification, calibration, bootstrap intervals, text overlap, a sequential test."""
