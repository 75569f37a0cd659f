"""A run told to experiment trackers: what its journal says, as few records, and a small writer for each tracker."""
