"""A cloud on one machine: the EC2 API on loopback, instances that are containers with a real boot."""
