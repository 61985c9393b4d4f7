"""Pure numbers, below every stage: classification metrics, calibration, intervals, text overlap, a sequential test."""
