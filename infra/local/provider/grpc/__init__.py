"""gRPC protocol between the engine and the provider."""
