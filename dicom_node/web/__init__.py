"""The page and the API: a process of its own, which reads the ledger and keeps the register.

app             the application: its doors, its guards, its routes
access          who asks, and what they may
pages           templates
problem         errors, as RFC 9457 describes them
"""
