"""What experiments on Prune-Deprune show."""
