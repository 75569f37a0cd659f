"""A site, or anybody who can write into the exchange, tries what is forbidden: it costs only the one who tries.

`crimes` are refused with a reason, `pranks` have no effect; `hostility` is the site that commits them beside an honest
one. Other tests forge names and signatures, change files of a run that is over, and use each folder as a user who may
not.

One crime: ``pytest -n 0 tests/faults/attacks/test_hostile.py -k FIFO``.
"""
