"""Shared memory of the workers: counters, rings, registry."""
