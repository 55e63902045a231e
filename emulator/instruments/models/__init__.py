"""The virtual instruments, one model or family a file."""
