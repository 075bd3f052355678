"""Configuration of a push: settings, secrets, keys, stack outputs."""
