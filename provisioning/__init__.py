"""The push: connect to the host, wait for its readiness, deploy a release to it, operate it."""

__version__ = "0.1.0"
