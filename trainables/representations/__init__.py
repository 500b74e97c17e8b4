"""What a network sees of a crystal: graphs, their shards on disk, batches on a device."""
