"""Trainers: training config text <-> TrainingSettings; one trainer each, found by name."""
