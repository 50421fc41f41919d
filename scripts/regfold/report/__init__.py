"""report.html and its figures."""
