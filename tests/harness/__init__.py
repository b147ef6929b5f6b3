"""The parts of the tests in Python: one module per concern."""
