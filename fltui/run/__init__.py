"""The run folder: the journal, the state folded from it, models, logs and requests."""
