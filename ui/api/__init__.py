"""Client of the prediction API and its typed responses."""
