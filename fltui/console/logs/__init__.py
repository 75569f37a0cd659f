"""Lines of logs: kept, filtered, searched."""
