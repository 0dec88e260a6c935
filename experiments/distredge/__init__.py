"""What experiments on DistrEdge show."""
