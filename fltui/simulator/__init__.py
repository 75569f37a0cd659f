"""The simulator: a process per site on this machine."""
