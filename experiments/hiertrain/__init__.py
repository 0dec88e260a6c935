"""What experiments on HierTrain show."""
