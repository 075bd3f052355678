"""Holds the service's ports and runs its code, taking up new code without losing a request.

`python -m launcher` in the image, where it lies beside the package `app` and not in it: that one is exchanged while
this one runs. It imports nothing of the service, so only a new container brings another launcher.
"""
