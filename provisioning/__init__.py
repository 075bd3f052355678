"""Everything that happens over SSH: trusting the host, waiting for it, and pushing a release onto it."""

__version__ = "0.1.0"
