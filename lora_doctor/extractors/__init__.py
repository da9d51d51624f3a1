"""Extractors: images -> arrays; one instrument each, found by name."""
