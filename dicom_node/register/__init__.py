"""What people see and say: the worklist, a study's record, accounts, verdicts, the audit trail.

Its own SQLite file beside the ledger's: names of patients and people are here, and never in the ledger.
"""
