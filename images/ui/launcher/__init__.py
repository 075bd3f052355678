"""Supervise the UI's server, and load new pages without losing a session.

`python -m images.ui.launcher`, in the image and in a checkout. The package `ui` is replaced while the launcher runs, so
the launcher imports nothing of it; a changed launcher needs a new container.
"""
