"""Draft sources, one file each; `catalog` is the table of them."""
