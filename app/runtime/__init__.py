"""Processes of the service: parent, workers, supervisor, self-check."""
