"""What models learn of a crystal: numbers, classes, lists of numbers, a number of each atom."""
