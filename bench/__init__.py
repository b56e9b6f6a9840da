"""What this project does fast, measured beside its peers in one run: `python -m bench` (or `make bench`).

The ratios are what counts; absolute figures are the machine's. Nothing here is a test: a figure that is short
of its target is printed as short.
"""
