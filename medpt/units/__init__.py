"""How each kind of unit that trains or measures runs; the module of a kind has its name."""
