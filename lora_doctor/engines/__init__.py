"""Engines: where work runs; one file each, found by name."""
