"""Traffic split: assignment of requests to model versions."""
