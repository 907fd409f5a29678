"""No clock: the same engine over files and arrays."""
