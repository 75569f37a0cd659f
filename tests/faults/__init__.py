"""The promises of the design under faults and attack: each test injects the fault."""
