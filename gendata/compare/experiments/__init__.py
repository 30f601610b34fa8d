"""The experiments: one module each, named in EXPERIMENTS."""
