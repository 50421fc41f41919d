"""Out-of-sample files, metrics, verification."""
