"""The console: shows run folders in a terminal and asks through ``control/``. It computes nothing about a run."""
