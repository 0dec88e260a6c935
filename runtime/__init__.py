"""Plans on real machines: workers that carry them out over sockets, and what they measured beside the prediction."""
