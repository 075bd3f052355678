"""Requests that change the release store, and the logs beside it."""
