"""Complete programs, each to be read and run: `python -m minitorch.examples.NAME`."""
