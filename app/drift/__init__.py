"""Drift of recent predictions from the training rows: score, detector, monitor."""
