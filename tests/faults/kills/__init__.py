"""Server and site are killed at named steps, or disturbed otherwise, and started again as a person would.

The processes are real: ``fltui`` itself, forked from one that has imported everything (`lives`). `armed` stands between
it and the system and tells each step, such as ``server before rename task manifest``; `killing` stops a process at a
step of its plan, kills it and starts it again. Afterwards the run is compared, bit for bit, with one that nobody
disturbed.

Some kills: ``pytest -n 0 tests/faults/kills/test_kill_matrix.py -k where_results_are_kept``.
"""
