"""How fast the computations are, and how accurate; never part of the tests."""
