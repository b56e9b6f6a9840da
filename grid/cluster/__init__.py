"""Start or join Ray, manage its temporary folders, and end processes."""
