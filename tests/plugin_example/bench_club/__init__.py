"""Things of a bench club's own."""
