"""A good model of your own crystals within some minutes."""
