"""The command line: one file per command group, listed in `table.py`."""
