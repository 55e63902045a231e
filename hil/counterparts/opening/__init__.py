"""Devices by address or by name in a bench file, and virtual ones served."""
