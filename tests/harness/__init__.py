"""What run.py is made of: one module a concern."""
