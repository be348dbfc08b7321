"""Timing the machine at hand. Importing this needs no torch; measuring does."""
