"""How the suite speaks with people: errors, options and help, progress, pictures, whole files."""
