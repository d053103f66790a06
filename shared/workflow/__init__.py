"""The command line, and what Snakemake and DVC are told; both engines call the command line."""
