"""Layouts: how each trainer's dataset lies on the disk -> subsets; one file each, found by name."""
