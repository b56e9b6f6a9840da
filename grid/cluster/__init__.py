"""Ray started or joined, its temporary folders, and how a process ends."""
