"""The decode loop over slots. Imports core only: target, drafters and policy arrive as Protocols."""
