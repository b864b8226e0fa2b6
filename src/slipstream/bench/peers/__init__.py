"""Other engines on the same prompts, in the same run."""
