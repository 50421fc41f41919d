"""config.yaml: the schema, checks, defaults and messages."""
