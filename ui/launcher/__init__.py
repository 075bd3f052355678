"""Holds the UI's server and has it take up new pages without losing a session.

`python -m launcher` in the image, where it lies beside the package `ui` and not in it: that one is exchanged while
this one runs. It imports nothing of the pages, so only a new container brings another launcher.
"""
