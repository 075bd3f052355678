"""Requests about the host's own SSH key; they run as root."""
