"""Facts about the machine: the only reader of /proc and /sys."""
