"""Several systems side by side: runs, scores that `evaluate --out` wrote, and outputs of other tools."""
