"""Instances of the local cloud: containers with a real boot."""
