"""Trains arrays of models on Ray Tune; models with a record are not trained again."""
