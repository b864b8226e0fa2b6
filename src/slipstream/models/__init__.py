"""Model files: what a GGUF says about itself, and where the embedded one is."""
