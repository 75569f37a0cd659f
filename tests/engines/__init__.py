"""What carries the exchange past one machine, for real: sync engines, mounts, hosts with networks of their own.

Marked ``programs``: ``.ci/programs`` installs what they work with.
"""
