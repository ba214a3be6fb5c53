"""Start one coordinated gang of ranks: all or none."""
