"""Speed tables: `python -m benchmarks`, or `make bench`."""
