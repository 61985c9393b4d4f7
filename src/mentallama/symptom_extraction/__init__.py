"""Symptoms of many posts: tables of mentions, and mentions that a language model finds, checked by the matcher."""
