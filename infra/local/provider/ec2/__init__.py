"""EC2 as the provider calls it: the client, and tags in EC2's form."""
