"""EC2 API of the local cloud and its state."""
