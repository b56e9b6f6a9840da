"""Trials and analyses to units of work, named by their content; what they cost."""
