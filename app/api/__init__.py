"""HTTP API: routes, OpenAPI document, administration, state of the service."""
