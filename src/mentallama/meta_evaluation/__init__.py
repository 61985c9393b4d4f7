"""Meta-evaluation: how far people agree on explanations, and how far metrics agree with people."""
