"""Inner loops that are compiled within the process where llvmlite is installed; nothing else has to be."""
