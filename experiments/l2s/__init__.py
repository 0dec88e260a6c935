"""What experiments on L2S show."""
