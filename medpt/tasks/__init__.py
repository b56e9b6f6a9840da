"""What a network is trained for: one file a task, each with a loss and an evaluation as (name, value)."""
