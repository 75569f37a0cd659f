"""Jobs: what a person builds with `FedJob`, and the folder that it is exported to and loaded from."""
