"""Prune-Deprune's training: losses, schedules, data and trainers over a budget that changes from epoch to epoch."""
