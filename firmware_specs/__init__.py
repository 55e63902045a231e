"""What a device is (datasheets, topology) and what it speaks (protocols, golden vectors)."""
