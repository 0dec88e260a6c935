"""How runs are made, judged, kept and shown."""
