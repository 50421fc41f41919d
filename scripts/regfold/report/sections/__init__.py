"""The figures of the page, by its sections."""
