"""Servers that answer the same POST /predict, each as its own documentation shows it. Run by `benchmarks.serve`."""
