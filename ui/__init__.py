"""Web pages of the stack: sliders, predictions, history and status. They use the API over HTTP only."""
