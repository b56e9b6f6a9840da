"""Charts as SVG for the page and as PDF for download."""
