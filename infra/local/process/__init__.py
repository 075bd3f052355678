"""Process of the local cloud: start, find, stop."""
