"""Giving results to destinations and judging every response."""
