"""The virtual instruments, one dialect a file."""
