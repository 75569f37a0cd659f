"""The sample jobs, run as people run them."""
