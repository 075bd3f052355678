"""Images of the local cloud and the registry mirror that serves them."""
