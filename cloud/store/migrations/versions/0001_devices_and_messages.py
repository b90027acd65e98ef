"""Devices and their messages, as in release 0.1."""

import sqlalchemy as sa
from alembic import op

revision = "0001"
down_revision = None
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.create_table(
        "devices",
        sa.Column("key", sa.BigInteger().with_variant(sa.Integer(), "sqlite"), nullable=False),
        sa.Column("site", sa.String(length=36), nullable=False),
        sa.Column("device", sa.String(length=36), nullable=False),
        sa.Column("availability", sa.String(length=16), nullable=True),
        sa.Column("availability_at", sa.Double(), nullable=True),
        sa.Column("birth", sa.JSON(none_as_null=True), nullable=True),
        sa.Column("health", sa.JSON(none_as_null=True), nullable=True),
        sa.Column("event", sa.JSON(none_as_null=True), nullable=True),
        sa.Column("first_seen", sa.Double(), nullable=False),
        sa.Column("last_seen", sa.Double(), nullable=False),
        sa.PrimaryKeyConstraint("key"),
        sa.UniqueConstraint("site", "device"),
    )
    op.create_table(
        "meta",
        sa.Column("key", sa.String(length=64), nullable=False),
        sa.Column("value", sa.String(length=256), nullable=False),
        sa.PrimaryKeyConstraint("key"),
    )
    op.create_table(
        "aggregates",
        sa.Column("start_s", sa.Double(), nullable=False),
        sa.Column("end_s", sa.Double(), nullable=False),
        sa.Column("windows", sa.BigInteger(), nullable=False),
        sa.Column("k", sa.BigInteger(), nullable=False),
        sa.Column("expressions", sa.JSON(none_as_null=True), nullable=True),
        sa.Column("tones", sa.JSON(none_as_null=True), nullable=True),
        sa.Column("device_key", sa.BigInteger().with_variant(sa.Integer(), "sqlite"), nullable=False),
        sa.Column("id", sa.String(length=26), nullable=False),
        sa.Column("session", sa.BigInteger(), nullable=False),
        sa.Column("seq", sa.BigInteger(), nullable=False),
        sa.Column("ts", sa.Double(), nullable=False),
        sa.Column("clock_synced", sa.Boolean(), nullable=False),
        sa.Column("mode", sa.String(length=16), nullable=False),
        sa.Column("received_at", sa.Double(), nullable=False),
        sa.Column("at", sa.Double(), nullable=False),
        sa.ForeignKeyConstraint(
            ["device_key"],
            ["devices.key"],
        ),
        sa.PrimaryKeyConstraint("device_key", "id"),
    )
    op.create_table(
        "events",
        sa.Column("type", sa.String(length=36), nullable=False),
        sa.Column("text", sa.String(), nullable=False),
        sa.Column("detail", sa.JSON(none_as_null=True), nullable=False),
        sa.Column("device_key", sa.BigInteger().with_variant(sa.Integer(), "sqlite"), nullable=False),
        sa.Column("id", sa.String(length=26), nullable=False),
        sa.Column("session", sa.BigInteger(), nullable=False),
        sa.Column("seq", sa.BigInteger(), nullable=False),
        sa.Column("ts", sa.Double(), nullable=False),
        sa.Column("clock_synced", sa.Boolean(), nullable=False),
        sa.Column("mode", sa.String(length=16), nullable=False),
        sa.Column("received_at", sa.Double(), nullable=False),
        sa.Column("at", sa.Double(), nullable=False),
        sa.ForeignKeyConstraint(
            ["device_key"],
            ["devices.key"],
        ),
        sa.PrimaryKeyConstraint("device_key", "id"),
    )
    with op.batch_alter_table("events", schema=None) as batch_op:
        batch_op.create_index("events_at", ["at", "id"], unique=False)

    op.create_table(
        "readings",
        sa.Column("clip", sa.String(), nullable=True),
        sa.Column("start_s", sa.Double(), nullable=False),
        sa.Column("end_s", sa.Double(), nullable=False),
        sa.Column("faces", sa.BigInteger(), nullable=False),
        sa.Column("face", sa.JSON(none_as_null=True), nullable=True),
        sa.Column("speech", sa.JSON(none_as_null=True), nullable=True),
        sa.Column("fused", sa.JSON(none_as_null=True), nullable=True),
        sa.Column("face_quality", sa.Double(), nullable=True),
        sa.Column("voiced_share", sa.Double(), nullable=True),
        sa.Column("gate", sa.String(length=16), nullable=False),
        sa.Column("threshold", sa.Double(), nullable=True),
        sa.Column("latency_ms", sa.Double(), nullable=False),
        sa.Column("device_key", sa.BigInteger().with_variant(sa.Integer(), "sqlite"), nullable=False),
        sa.Column("id", sa.String(length=26), nullable=False),
        sa.Column("session", sa.BigInteger(), nullable=False),
        sa.Column("seq", sa.BigInteger(), nullable=False),
        sa.Column("ts", sa.Double(), nullable=False),
        sa.Column("clock_synced", sa.Boolean(), nullable=False),
        sa.Column("mode", sa.String(length=16), nullable=False),
        sa.Column("received_at", sa.Double(), nullable=False),
        sa.Column("at", sa.Double(), nullable=False),
        sa.ForeignKeyConstraint(
            ["device_key"],
            ["devices.key"],
        ),
        sa.PrimaryKeyConstraint("device_key", "id"),
    )
    with op.batch_alter_table("readings", schema=None) as batch_op:
        batch_op.create_index("readings_at", ["at", "id"], unique=False)
        batch_op.create_index("readings_device_at", ["device_key", "at", "id"], unique=False)

    op.create_table(
        "verdicts",
        sa.Column("reading_id", sa.String(length=26), nullable=False),
        sa.Column("status", sa.String(length=16), nullable=False),
        sa.Column("reason", sa.String(), nullable=False),
        sa.Column("face", sa.JSON(none_as_null=True), nullable=True),
        sa.Column("speech", sa.JSON(none_as_null=True), nullable=True),
        sa.Column("fused", sa.JSON(none_as_null=True), nullable=True),
        sa.Column("models", sa.JSON(), nullable=False),
        sa.Column("latency_ms", sa.Double(), nullable=False),
        sa.Column("device_key", sa.BigInteger().with_variant(sa.Integer(), "sqlite"), nullable=False),
        sa.Column("id", sa.String(length=26), nullable=False),
        sa.Column("session", sa.BigInteger(), nullable=False),
        sa.Column("seq", sa.BigInteger(), nullable=False),
        sa.Column("ts", sa.Double(), nullable=False),
        sa.Column("clock_synced", sa.Boolean(), nullable=False),
        sa.Column("mode", sa.String(length=16), nullable=False),
        sa.Column("received_at", sa.Double(), nullable=False),
        sa.Column("at", sa.Double(), nullable=False),
        sa.ForeignKeyConstraint(
            ["device_key"],
            ["devices.key"],
        ),
        sa.PrimaryKeyConstraint("device_key", "id"),
        sa.UniqueConstraint("device_key", "reading_id"),
    )
