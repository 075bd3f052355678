"""Service contracts: smoke test and confirmation of a reload."""
