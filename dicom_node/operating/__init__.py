"""What administrators use: checks, the demo, phantoms."""
