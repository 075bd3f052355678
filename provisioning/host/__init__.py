"""State of the host: release store, lock, readiness, history, drift, audit log."""
