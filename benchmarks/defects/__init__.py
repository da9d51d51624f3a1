"""Defects that are planted in datasets of the miniature's world; one file per topic, each with `DEFECTS`."""
