"""A cluster of Dask's as the place where the sites' scripts run.

`dask` is what the fleet sees, with an event loop in a thread of its own (`aside`) for the `connection` to a scheduler.
`workers` knows who is there; `placing` says which of them gets which site, and `sight` whether one sees what it has to.
`sites` has each site's task, and `worker` is what runs there; `looks` is what a worker is asked and answers.
"""
