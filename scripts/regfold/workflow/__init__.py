"""What runs in Snakemake's own process, and the commands plan and prune."""
