"""A run as the console knows it: found, started, followed, played back."""
