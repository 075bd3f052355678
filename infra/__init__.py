"""The Pulumi program: what exists in the cloud, and the release on it."""
