"""Plan of a push: observed state against desired state."""
