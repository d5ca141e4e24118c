"""Taking radiographs in: admission, the Storage SCP, the spool."""
