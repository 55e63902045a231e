"""A rack of instruments as one device: safe switching, measurements, programming, networks, plans."""
