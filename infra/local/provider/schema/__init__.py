"""Schema of the provider's types: check, diff and stored state."""
