"""Which elements may replace an element."""
