"""Exports: Diagnosis -> text; one format each, found by name."""
