"""The web UI: sliders, predictions, history, drift, experiment and status. It reaches the API over HTTP."""
