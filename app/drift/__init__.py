"""Drift: score, detector and the window that feeds them."""
