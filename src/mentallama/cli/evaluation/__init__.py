"""Commands that measure: evaluate, and studies of scores."""
