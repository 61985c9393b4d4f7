"""Exports for tools in which people look at posts and answers."""
