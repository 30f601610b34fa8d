"""Precious records: what people made or cite. Append-only, content-addressed, never a DVC out."""
