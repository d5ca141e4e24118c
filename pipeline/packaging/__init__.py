"""From a trained run to a published model package (`python -m pipeline.packaging`)."""
