"""The power is cut: what was told must be on the disk.

`recorded` and `straced` write down every change of a file that a real server and its sites make, with and without
strace; `synced` finds in that list what was told before it was synced. `test_power_cut` takes the disk away in earnest:
an image of ext4 or xfs is copied in the midst of a run and mounted again, where this user may.

One cut: ``pytest -n 0 tests/faults/power/test_power_cut.py -k ext4``.
"""
