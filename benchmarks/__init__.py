"""The repo's own measurements. Only ratios within one run are claimed; machines are too different for more."""
