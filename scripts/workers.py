"""Import what jobs need once, and fork workers for a local run's jobs. Snakemake's process starts it."""

import sys

from regfold.runtime import worker_server

if __name__ == "__main__":
    kind, *numbers = sys.argv[1:]
    worker_server.serve(kind, *map(int, numbers))
