"""A/B experiment: prediction log, feedback, evidence, recorder."""
