"""Drivers that hand configs to trainers' own parsers; each is run inside a clone of its trainer."""
