"""What networks are trained for: a module per task, each with a loss and an evaluation."""
