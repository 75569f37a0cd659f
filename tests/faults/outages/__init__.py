"""Disks that are full or break, shares that go away and come back: the run waits, says why, and goes on.

`broken_disk` lets calls of `os` fail below a folder, under an engine and clients in one process (`shared_run`), whose
time the test makes. `mounted` gives real processes real small disks, where this user may mount them.

One outage: ``pytest -n 0 tests/faults/outages/test_mounts.py -k unmounted``.
"""
