"""Audits: files -> Measurements, without a GPU; one file each, found by name."""
