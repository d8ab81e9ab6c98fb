"""The configuration: what it may contain, checked against the constructors it names."""
