"""HTTP/1.1: connection, messages, limits, access control. Knows nothing of models or the A/B test."""
