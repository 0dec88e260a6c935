"""Who decides, and how agents are trained and judged."""
