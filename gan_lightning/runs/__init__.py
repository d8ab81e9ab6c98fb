"""A run, from the parts that a configuration names to the folder that it leaves."""
