"""What others see of a run, while it goes on and afterwards: its events, its ledger, pages, alarms."""
