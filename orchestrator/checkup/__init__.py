"""What `elemgrid doctor` looks at: this machine, cluster files, and every node of a cluster."""
