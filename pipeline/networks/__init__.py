"""The networks: one `nn.Module` each, nothing else."""
