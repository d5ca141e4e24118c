"""Dataset layouts: each gives a tuple of `Film`."""
