"""Virtual bench instruments: their command sets are data (`firmware_specs/instruments`), what they do is here."""
