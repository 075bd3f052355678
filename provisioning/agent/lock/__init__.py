"""Requests about the lock of a host."""
