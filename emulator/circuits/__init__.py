"""Small circuits in front of virtual instruments: parts, and a breadboard that joins them to terminals."""
