"""Day-two operations: overview, doctor, logs, exec, tunnel."""
