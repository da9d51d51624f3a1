"""Metrics: a Study of readings -> Measurements; numpy and scipy only, found by name."""
