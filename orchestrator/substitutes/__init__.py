"""Lists the elements that may replace an element."""
