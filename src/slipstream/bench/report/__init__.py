"""The report: what the stored results say, as one HTML page and one Markdown file, and what checks that they do."""
