"""What everything stands on: one error for users, files written whole, paths, strict YAML."""
