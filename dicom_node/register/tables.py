"""The register's tables. Times are seconds since the epoch, UTC.

`worklist` is a copy of what ledger and film headers say, made again at any time; all else is kept here alone.
"""

from __future__ import annotations

from sqlalchemy import Column, Float, Index, Integer, MetaData, Table, Text

metadata = MetaData()

# Who may look and act. `password` is an argon2 digest.
person = Table(
    "person",
    metadata,
    Column("name", Text, primary_key=True),
    Column("role", Text, nullable=False),
    Column("password", Text, nullable=False),
    Column("created_at", Float, nullable=False),
    Column("disabled_at", Float),
    Column("last_login_at", Float),
)

# A log-in; `digest` is sha256 of the cookie's value.
session = Table(
    "session",
    metadata,
    Column("digest", Text, primary_key=True),
    Column("person", Text, nullable=False, index=True),
    Column("csrf_token", Text, nullable=False),
    Column("address", Text, nullable=False),
    Column("created_at", Float, nullable=False),
    Column("seen_at", Float, nullable=False),
    Column("expires_at", Float, nullable=False),
)

# What a program shows in place of a log-in; `digest` is sha256 of the token, `permissions` a JSON list.
token = Table(
    "token",
    metadata,
    Column("id", Text, primary_key=True),
    Column("digest", Text, nullable=False, unique=True),
    Column("label", Text, nullable=False),
    Column("person", Text, nullable=False, index=True),
    Column("permissions", Text, nullable=False),
    Column("created_at", Float, nullable=False),
    Column("expires_at", Float),
    Column("used_at", Float),
    Column("revoked_at", Float),
)

# Every sight of a study and every act. Rows are added, never changed.
audit_entry = Table(
    "audit_entry",
    metadata,
    Column("id", Integer, primary_key=True),
    Column("at", Float, nullable=False, index=True),
    Column("person", Text, nullable=False, index=True),
    Column("role", Text, nullable=False),
    Column("address", Text, nullable=False),
    Column("act", Text, nullable=False, index=True),
    Column("about", Text, nullable=False, index=True),
    Column("detail", Text, nullable=False, default=""),
)

# One row a study, as the page lists it. What sorts downwards has a rank beside it, never empty.
worklist = Table(
    "worklist",
    metadata,
    Column("id", Integer, primary_key=True),
    Column("study_instance_uid", Text, nullable=False, unique=True),
    Column("patient_name", Text, nullable=False, default=""),
    Column("patient_id", Text, nullable=False, default=""),
    Column("accession_number", Text, nullable=False, default=""),
    Column("study_description", Text, nullable=False, default=""),
    Column("study_date", Text, nullable=False, default=""),
    # Of which instance these were read.
    Column("header_of", Text, nullable=False, default=""),
    Column("modalities", Text, nullable=False, default=""),
    Column("calling_ae_title", Text, nullable=False, default=""),
    Column("images", Integer, nullable=False),
    Column("unread", Integer, nullable=False),
    Column("revision", Integer, nullable=False),
    Column("first_received_at", Float, nullable=False),
    Column("last_received_at", Float, nullable=False),
    # Of the images' outcomes the one that a reader must not miss.
    Column("outcome", Text, nullable=False),
    Column("outcome_rank", Integer, nullable=False),
    Column("outcomes", Text, nullable=False, default="{}"),
    Column("reasons", Text, nullable=False, default=""),
    Column("body_parts", Text, nullable=False, default=""),
    Column("probability", Float),
    Column("probability_rank", Float, nullable=False),
    Column("priority", Integer, nullable=False),
    Column("priority_rank", Integer, nullable=False),
    # Of the deliveries' states the one that needs somebody most; counts by state as JSON.
    Column("delivery_state", Text, nullable=False),
    Column("delivery_rank", Integer, nullable=False),
    Column("deliveries", Text, nullable=False, default="{}"),
    Column("verdict", Text, nullable=False, default=""),
    Column("search", Text, nullable=False, default=""),
    # Holds all that filters ask for: a filter that finds little still reads no more than this.
    Index(
        "worklist_by_received", "last_received_at", "study_instance_uid", "outcome_rank",
        "delivery_rank", "priority_rank", "probability_rank", "verdict", "modalities",
        "calling_ae_title", "body_parts", "patient_name",
    ),
    Index("worklist_by_outcome", "outcome_rank", "last_received_at", "study_instance_uid"),
    Index("worklist_by_probability", "probability_rank", "last_received_at", "study_instance_uid"),
    Index("worklist_by_priority", "priority_rank", "last_received_at", "study_instance_uid"),
    Index("worklist_by_delivery", "delivery_rank", "last_received_at", "study_instance_uid"),
    Index("worklist_by_patient", "patient_name", "last_received_at", "study_instance_uid"),
    Index("worklist_by_body_part", "body_parts", "last_received_at", "study_instance_uid"),
)  # fmt: skip

# How far the worklist follows the ledger: the number of the last change that it took over.
worklist_progress = Table(
    "worklist_progress",
    metadata,
    Column("id", Integer, primary_key=True),
    Column("last_change", Integer, nullable=False),
)

# What a radiologist says of a reading. A later one of the same person on the same image stands in its place.
verdict = Table(
    "verdict",
    metadata,
    Column("id", Text, primary_key=True),
    Column("at", Float, nullable=False, index=True),
    Column("person", Text, nullable=False),
    Column("study_instance_uid", Text, nullable=False, index=True),
    Column("instance_id", Text, nullable=False, index=True),
    Column("sop_instance_uid", Text, nullable=False),
    Column("pixel_digest", Text, nullable=False),
    Column("stands", Integer, nullable=False),
    Column("agrees", Integer, nullable=False),
    Column("fracture", Text, nullable=False),
    Column("boxes", Text, nullable=False, default="[]"),
    Column("comment", Text, nullable=False, default=""),
    # The reading that was judged.
    Column("outcome", Text, nullable=False),
    Column("probability", Float),
    Column("body_part", Text, nullable=False, default=""),
    Column("model", Text, nullable=False),
    # For the export, without identity: whose film (a digest), and its pixels, which outlive the film itself.
    Column("group_digest", Text, nullable=False),
    Column("film_path", Text, nullable=False),
)

# Images that people gave to the page or the API themselves.
analysis = Table(
    "analysis",
    metadata,
    Column("id", Text, primary_key=True),
    Column("at", Float, nullable=False, index=True),
    Column("person", Text, nullable=False),
    Column("image_name", Text, nullable=False, index=True),
    Column("digest", Text, nullable=False),
    Column("byte_count", Integer, nullable=False),
    Column("outcome", Text, nullable=False, index=True),
    Column("probability", Float),
    Column("findings", Text, nullable=False),
    Column("picture_path", Text, nullable=False, default=""),
)
