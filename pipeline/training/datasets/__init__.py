"""Data sets of labelled films: one layout a module, `layouts.read_dataset` the door to all."""
