"""The handcrafted descriptor of the chemical elements, an input of the models."""
