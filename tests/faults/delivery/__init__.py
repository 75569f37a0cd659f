"""Files travel late, twice, half, in any order and worse, between real engines and real clients in one process.

A `courier` carries files between the server's folder and each site's copy of it, as a sync engine full of mischief
would. What happens is drawn from a seed (`schedules`), played in the time of a clockwork (`scheduled`) and looked
through for broken promises (`judged`).

One schedule, made as simple as can be: ``python -m tests.faults.delivery.judged SEED``.
"""
