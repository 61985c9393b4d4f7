"""How often a model's labels change when the post or the question is changed in a way that should not matter."""
