"""A fixed set of tasks for any counterpart, the rule it learns best by, and the card that says how it did."""
