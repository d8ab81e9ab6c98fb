"""What looks at several runs together: sweeps, comparisons and reports. Imports no torch."""
