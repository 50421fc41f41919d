"""What runs in Snakemake's own process, and the targets plan, prune and init."""
