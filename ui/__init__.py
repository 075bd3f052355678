"""The web page of the stack: sliders, predictions, history and status. It meets the API over HTTP only."""
