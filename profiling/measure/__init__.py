"""Measuring how long layers take on this machine: ``splitgym-profile``."""
