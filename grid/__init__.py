"""The orchestration of medpt-grid: spaces, plans, Ray, MLflow, reports."""
