"""Measuring the link between two machines."""
