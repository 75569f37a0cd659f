"""A cluster of Dask's as the place where the sites' scripts run.

`dask` is what the fleet sees, with an event loop in a thread of its own (`loop_thread`) for the `connection` to a
scheduler. `workers` knows who is there; `placing` says which of them gets which site, and `sharing` whether one shares
the folders; `look` is what it is asked for that and answers. `sites` has each site's task, `worker` is what runs there,
and its `keeper` starts the processes.
"""
