"""Characterizations from tables measured elsewhere: readers of named formats, and of any table with a mapping."""
