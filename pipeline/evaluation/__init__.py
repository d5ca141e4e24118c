"""How good a model is on labelled films: scores, figures with intervals, a report. Needs the extra `training`."""
