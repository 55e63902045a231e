"""A virtual rack: instruments with their own dialects in front of one physical network, on a virtual clock."""
