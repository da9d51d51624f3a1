"""Edits: a config's text -> the same text with some values changed; all else stays as its owner wrote it. Pure.

One file a language, each with `edited(text, changes) -> str`. `changes` says which value becomes what: keys (names and
positions, from the outside in) -> a value, or REMOVED. Containers on the way are made where they lack.
"""
