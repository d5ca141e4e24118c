"""Training from scratch: torch, torchvision, numpy and opencv only, so that it runs on a bare machine."""
