"""Deployment: plan a push, apply it, undo it, roll back."""
