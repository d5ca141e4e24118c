"""Fits the pixels' gate: made outliers teach it, films of the data set bound its refusals (`fit_gate`)."""
