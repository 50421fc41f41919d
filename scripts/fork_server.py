"""Import Keras once and fork a process for each cell of a local run. Snakemake's process starts it."""

import sys

from regfold.runtime import fork_server

if __name__ == "__main__":
    fork_server.serve(*map(int, sys.argv[1:3]))
