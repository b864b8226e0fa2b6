"""Everything that Slipstream writes, and where: under one data root."""
