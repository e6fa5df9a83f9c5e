"""A run, or depth maps predicted elsewhere, scored under a protocol: tables, report, sheet."""
