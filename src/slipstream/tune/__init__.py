"""The search for how a model is best opened on this machine, at the same output or within a limit on its quality."""
