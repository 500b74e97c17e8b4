"""The partition of the elements that agrees best with many clusterings, with a certificate."""
