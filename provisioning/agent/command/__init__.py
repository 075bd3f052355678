"""Requests that run a command on the host."""
