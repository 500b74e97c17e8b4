"""The partition of the elements on which many clusterings agree most, with a proof of how good."""
