"""The inputs of networks: graphs of crystals, their shards on disk, batches on a device."""
