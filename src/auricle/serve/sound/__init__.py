"""A stranger's recordings: fetched and decoded within limits."""
