"""The search for sub-layers that a model can draft without: its own draft model, made of its own weights."""
