"""The A/B experiment: recorder, prediction log, labels, evidence, verdict."""
