"""Hold the API's listening sockets, run its code, and load new code without losing a request.

`python -m images.api.launcher`, in the image and in a checkout. The package `app` is replaced while the launcher runs,
so the launcher imports nothing of it; a changed launcher needs a new container.
"""
