"""What goes back to the archive: one room per kind of object."""
