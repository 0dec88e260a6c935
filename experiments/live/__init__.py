"""Plans on real processes: run, measured beside what was predicted; clusters and testbeds."""
