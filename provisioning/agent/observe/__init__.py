"""Requests that read the host and change nothing."""
