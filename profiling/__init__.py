"""How long a layer takes on a device, and how long bytes take on a link."""
