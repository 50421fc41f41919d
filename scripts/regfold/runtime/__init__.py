"""The process around a cell: GPU, threads, signals, log, progress."""
