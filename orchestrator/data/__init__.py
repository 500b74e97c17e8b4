"""Resolves names and files to data sets, writes them as shards, and streams shards to trainings."""
