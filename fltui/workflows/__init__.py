"""Workflows: what a round is, as coroutines over an abstract set of sites."""
