"""A process that has everything loaded which the process of a site needs, and forks for each site.

`ahead` starts it, `__main__` is what it runs, `loop` serves its requests and makes a fork the process of a site,
`ending` ends that. Whoever asks is `fltui.simulator.forked`.
"""
