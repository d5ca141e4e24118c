"""The ledger's tables: what people see, written in the same transactions as the work they describe.

Times are seconds since the epoch, UTC. Nothing here holds a patient's name.
"""

from __future__ import annotations

from sqlalchemy import Column, Float, ForeignKey, Index, Integer, MetaData, Table, Text, text

metadata = MetaData()

installation = Table(
    "installation",
    metadata,
    Column("id", Text, primary_key=True),
    Column("created_at", Float, nullable=False),
)

# One row per bytes received of a SOP Instance; `is_current` marks the reading that stands.
instance = Table(
    "instance",
    metadata,
    Column("id", Text, primary_key=True),
    Column("sop_instance_uid", Text, nullable=False, index=True),
    Column("sop_class_uid", Text, nullable=False),
    Column("study_instance_uid", Text, nullable=False, index=True),
    Column("series_instance_uid", Text, nullable=False),
    Column("transfer_syntax_uid", Text, nullable=False),
    Column("bytes_digest", Text, nullable=False),
    Column("byte_count", Integer, nullable=False),
    Column("spool_path", Text, nullable=False),
    Column("calling_ae_title", Text, nullable=False),
    Column("called_ae_title", Text, nullable=False),
    Column("address", Text, nullable=False),
    Column("priority", Integer, nullable=False),
    Column("modality", Text, nullable=False),
    Column("received_at", Float, nullable=False, index=True),
    Column("state", Text, nullable=False, index=True),
    Column("round", Integer, nullable=False, default=1),
    Column("attempts", Integer, nullable=False, default=0),
    Column("revision", Integer),
    Column("is_current", Integer, nullable=False, default=0),
    Column("same_as", Text),
    Column("pixel_digest", Text),
    Column("header_digest", Text),
    Column("findings", Text),
    Column("outcome", Text),
    Column("reason", Text),
    Column("model", Text),
    Column("detail", Text, nullable=False, default=""),
    Column("begun_at", Float),
    Column("finished_at", Float),
)

# A study is open from the first image to the closing of its findings.
study = Table(
    "study",
    metadata,
    Column("study_instance_uid", Text, primary_key=True),
    Column("opened_at", Float, index=True),
    Column("last_received_at", Float, nullable=False),
    Column("revision", Integer, nullable=False, default=0),
)

study_revision = Table(
    "study_revision",
    metadata,
    Column("study_instance_uid", Text, primary_key=True),
    Column("revision", Integer, primary_key=True),
    Column("closed_at", Float, nullable=False),
    Column("instance_ids", Text, nullable=False),
    Column("state", Text, nullable=False),
    Column("round", Integer, nullable=False, default=1),
    Column("attempts", Integer, nullable=False, default=0),
    Column("detail", Text, nullable=False, default=""),
    Index("study_revision_composing", "closed_at", sqlite_where=text("state = 'composing'")),
)

# Destinations that want the same get the same object; a delivery is one object to one of them.
result_object = Table(
    "result_object",
    metadata,
    Column("sop_instance_uid", Text, primary_key=True),
    Column("kind", Text, nullable=False),
    Column("sop_class_uid", Text, nullable=False),
    Column("series_instance_uid", Text, nullable=False),
    Column("study_instance_uid", Text, nullable=False, index=True),
    Column("transfer_syntax_uid", Text, nullable=False),
    Column("instance_id", Text, index=True),
    Column("revision", Integer, nullable=False),
    Column("path", Text, nullable=False),
    Column("digest", Text, nullable=False),
    Column("byte_count", Integer, nullable=False),
    Column("created_at", Float, nullable=False),
)

delivery = Table(
    "delivery",
    metadata,
    Column("id", Text, primary_key=True),
    Column("sop_instance_uid", Text, ForeignKey("result_object.sop_instance_uid"), nullable=False),
    Column("destination", Text, nullable=False),
    Column("priority", Integer, nullable=False),
    Column("state", Text, nullable=False),
    Column("round", Integer, nullable=False, default=1),
    Column("attempts", Integer, nullable=False, default=0),
    Column("refusals", Integer, nullable=False, default=0),
    Column("created_at", Float, nullable=False),
    Column("trying_since", Float, nullable=False),
    Column("next_attempt_at", Float),
    Column("ended_at", Float),
    Column("status", Integer),
    Column("detail", Text, nullable=False, default=""),
    Index("delivery_by_state", "state", "next_attempt_at"),
    Index("delivery_by_object", "sop_instance_uid"),
)

# Deliveries that a destination may have in spite of no answer: written down before each sending, where it is asked.
sending = Table(
    "sending",
    metadata,
    Column("delivery_id", Text, primary_key=True),
    Column("at", Float, nullable=False),
)

# One request for storage commitment; `delivery_ids` is a JSON list. An answer finds it by its Transaction UID.
commitment = Table(
    "commitment",
    metadata,
    Column("transaction_uid", Text, primary_key=True),
    Column("destination", Text, nullable=False),
    Column("state", Text, nullable=False),
    Column("asked_at", Float, nullable=False, index=True),
    Column("answered_at", Float),
    Column("attempts", Integer, nullable=False),
    Column("delivery_ids", Text, nullable=False),
    Column("detail", Text, nullable=False, default=""),
)

# Whether a destination took responsibility for what was delivered; `transaction_uid` is the last request's.
delivery_commitment = Table(
    "delivery_commitment",
    metadata,
    Column("delivery_id", Text, primary_key=True),
    Column("destination", Text, nullable=False),
    Column("transaction_uid", Text, nullable=False),
    Column("state", Text, nullable=False),
    Column("attempts", Integer, nullable=False),
    Column("sent_again", Integer, nullable=False, default=0),
    Column("since", Float, nullable=False),
    Column("next_ask_at", Float),
    Column("ended_at", Float),
    Column("reason", Integer),
    Column("detail", Text, nullable=False, default=""),
    Index("commitment_by_state", "destination", "state"),
)

# Replaced objects of which a destination was told by a Key Object note.
rejection = Table(
    "rejection",
    metadata,
    Column("sop_instance_uid", Text, primary_key=True),
    Column("destination", Text, primary_key=True),
    Column("note_uid", Text, nullable=False),
    Column("at", Float, nullable=False),
)

# What a destination accepted when we last asked: a JSON list of SOP classes.
destination_capability = Table(
    "destination_capability",
    metadata,
    Column("destination", Text, primary_key=True),
    Column("accepted", Text, nullable=False),
    Column("at", Float, nullable=False),
)

association = Table(
    "association",
    metadata,
    Column("id", Integer, primary_key=True),
    Column("calling_ae_title", Text, nullable=False, index=True),
    Column("called_ae_title", Text, nullable=False),
    Column("address", Text, nullable=False),
    Column("at", Float, nullable=False, index=True),
    Column("accepted", Integer, nullable=False),
    Column("reason", Text, nullable=False, default=""),
    Column("stored", Integer, nullable=False, default=0),
    Column("refused", Integer, nullable=False, default=0),
)

# What was proposed and answered, as context_list.py writes it: a sender proposes the same each time.
negotiation = Table(
    "negotiation",
    metadata,
    Column("digest", Text, primary_key=True),
    Column("contexts", Text, nullable=False),
)

# How the negotiation went, and what came after it.
association_detail = Table(
    "association_detail",
    metadata,
    Column("association_id", Integer, primary_key=True),
    Column("implementation_class_uid", Text, nullable=False),
    Column("implementation_version_name", Text, nullable=False),
    Column("negotiation_digest", Text, nullable=False, index=True),
    Column("proposed", Integer, nullable=False),
    Column("accepted", Integer, nullable=False),
    Column("is_capped", Integer, nullable=False),
    Column("ended_at", Float, nullable=False),
    Column("ending", Text, nullable=False),
    Column("byte_count", Integer, nullable=False),
)

# Instances that were refused, or taken and not kept: for people.
notice = Table(
    "notice",
    metadata,
    Column("id", Integer, primary_key=True),
    Column("at", Float, nullable=False, index=True),
    Column("calling_ae_title", Text, nullable=False),
    Column("address", Text, nullable=False),
    Column("status", Integer, nullable=False),
    Column("text", Text, nullable=False),
)

# The number of each study's last change (study_changes.py).
study_change = Table(
    "study_change",
    metadata,
    Column("study_instance_uid", Text, primary_key=True),
    Column("number", Integer, nullable=False, index=True),
    sqlite_with_rowid=False,
)

# What happened so far, counted: only grows, whatever retention deletes (tallies.py).
tally = Table(
    "tally",
    metadata,
    Column("name", Text, primary_key=True),
    Column("label", Text, primary_key=True),
    Column("value", Float, nullable=False),
    sqlite_with_rowid=False,
)
