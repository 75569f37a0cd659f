"""The promises of the design under faults and attack: each test injects the fault.

One package for each kind of fault: `kills`, `delivery`, `outages`, `power`, `attacks`. Each says what it injects and
how to run one. Beside them lie a `clockwork`, whose time the tests make, stragglers and people who step in, the order
in which answers arrive, and a soak of many minutes: ``pytest -n 0 -m soak tests/faults/test_soak.py``.
"""
