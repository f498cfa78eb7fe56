"""Where the figures in the docs come from: `make bench`, or `python -m bench NAME`."""
