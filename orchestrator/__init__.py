"""Everything that runs on Ray or writes a run directory: the jobs and what they share."""
