"""HTTP/1.1: connections, messages, limits, access control. Knows no model and no A/B test."""
