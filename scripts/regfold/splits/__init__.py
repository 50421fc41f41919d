"""Which rows each fold tests."""
