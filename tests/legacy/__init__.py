"""Files that an older revision wrote, and that must always be read."""
