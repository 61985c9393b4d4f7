"""Claims of the paper, and what the files at hand say about each."""
