"""Release: the tree on disk, its digests and its manifest."""
