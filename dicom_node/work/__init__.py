"""Durable work: the ledger, the engine, and what each process does with a job."""
