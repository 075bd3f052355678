"""Training: from a table of features and classes to the files that the API serves. Not part of the API's image."""
