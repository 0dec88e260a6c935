"""The networks that ship with the suite."""
