"""One package per paper; each decides its data, models, experiment, tables and figures, and nothing else."""
