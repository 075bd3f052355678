"""Processes of the service: supervisor, workers, HTTP server, self-check, health check."""
