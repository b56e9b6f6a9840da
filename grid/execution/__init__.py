"""Units of a plan to processes: what runs next, in which process, and what a failure means."""
