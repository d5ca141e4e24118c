"""The node: sockets, disk, clock, processes, people. For research only. Not a medical device."""

__version__ = "0.1.0"
