"""The server: binds a job's workflow to the exchange and the run folder."""
