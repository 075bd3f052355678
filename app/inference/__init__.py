"""Inference: decode, validate, score, answer."""
