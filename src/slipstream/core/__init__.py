"""The words of the project as frozen values and Protocols: no I/O, no clock, no randomness."""
