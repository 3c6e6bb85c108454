"""The configuration: schema, loading with errors that name file and line, compiling."""
