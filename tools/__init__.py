"""What builds, locks, packs and documents the project; nothing here is installed."""
