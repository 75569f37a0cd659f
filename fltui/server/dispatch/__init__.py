"""What runs a queue: each entry in a process of its own, so that what becomes of one touches no other."""
