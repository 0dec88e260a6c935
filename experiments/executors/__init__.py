"""Work in processes: what can be done in them, and whose they are."""
