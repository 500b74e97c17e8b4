"""From names and files to shards, and from shards to a training."""
