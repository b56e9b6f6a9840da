"""How each kind of unit runs: what it reads, trains or measures, and writes."""
