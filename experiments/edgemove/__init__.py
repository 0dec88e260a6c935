"""What experiments on EdgeMove show."""
