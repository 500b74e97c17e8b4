"""From clusters of elements to groups whose members may replace each other in a crystal."""
