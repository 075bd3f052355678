"""AWS types that the provider serves, one module for each family."""
