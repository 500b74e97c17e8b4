"""The report of a run: one HTML page, from the files of all jobs."""
