"""Network of the local cloud: addresses and packet filter."""
