"""The runtime's own cores on a virtual network with a virtual clock, under faults drawn from a seed."""
