"""Layouts: how each trainer's dataset lies on the disk -> subsets; one file each, found by name.

A plug-in defines `recognises(path, text) -> bool`, which never raises, and `read(path, text) -> Layout`; `text` is the
content of a config, None for a folder. The other files are what they share. No file that a trainer reads is recognised
by two: scripts are told apart by their options, TOML and JSON by keys that only one trainer has, and folders are
`folder`'s alone. Of a made-up file that two recognise, the first by name counts.
"""
