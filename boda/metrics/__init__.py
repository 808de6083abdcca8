"""Figures of merit: ``update`` with a batch, ``compute`` a flat dictionary; NumPy only."""
