"""Is the answer right, is the model still itself? Scorers, and what their marks add up to."""
