"""Arrays of models on Ray Tune: what is missing is trained, what is recorded is not."""
