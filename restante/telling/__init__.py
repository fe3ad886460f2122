"""Being told: what stands, what of it was told, and by which way the rest goes."""
