"""A process that has everything loaded which the process of a site needs, and forks for each site and for the job
script.

`ahead` starts it, `__main__` is what it runs, `loop` serves its requests, `birth` makes a fork the process
that was asked for, `ending` ends that. Whoever asks is `fltui.simulator.forked`.
"""
