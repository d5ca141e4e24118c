"""A package's network as a file for other programs, with what must be done before and after it."""
