"""Instances: a mask, a class and a box for every object; one file a method."""
