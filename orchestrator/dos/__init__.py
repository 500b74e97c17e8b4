"""Densities of states: an ensemble of networks on five folds, trained by Ray Train."""
