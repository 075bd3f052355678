"""The Pulumi program: the cloud resources of a stack, and the release on its host."""
