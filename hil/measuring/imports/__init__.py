"""Characterizations from tables that were measured elsewhere: readers of named formats, and of any table with a mapping."""
