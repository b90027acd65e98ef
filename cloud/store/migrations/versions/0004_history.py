"""History: sums per minute and hour, health over time, retention, erasures; two columns of aggregates."""

import sqlalchemy as sa
from alembic import op

revision = "0004"
down_revision = "0003"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.create_table(
        "erasures",
        sa.Column("key", sa.BigInteger().with_variant(sa.Integer(), "sqlite"), nullable=False),
        sa.Column("site", sa.String(length=36), nullable=False),
        sa.Column("device", sa.String(length=36), nullable=True),
        sa.Column("start", sa.Double(), nullable=False),
        sa.Column("end", sa.Double(), nullable=False),
        sa.Column("at", sa.Double(), nullable=False),
        sa.Column("actor", sa.String(length=100), nullable=False),
        sa.Column("done", sa.Boolean(), nullable=False),
        sa.PrimaryKeyConstraint("key"),
    )
    with op.batch_alter_table("erasures", schema=None) as batch_op:
        batch_op.create_index("erasures_site", ["site"], unique=False)

    op.create_table(
        "retention",
        sa.Column("site", sa.String(length=36), nullable=False),
        sa.Column("readings_days", sa.BigInteger(), nullable=False),
        sa.Column("minutes_days", sa.BigInteger(), nullable=False),
        sa.Column("hours_days", sa.BigInteger(), nullable=False),
        sa.Column("events_days", sa.BigInteger(), nullable=False),
        sa.PrimaryKeyConstraint("site"),
    )
    op.create_table(
        "crowd_rollups",
        sa.Column("n", sa.BigInteger(), nullable=False),
        sa.Column("suppressed", sa.BigInteger(), nullable=False),
        sa.Column("windows", sa.BigInteger(), nullable=False),
        sa.Column("faces", sa.BigInteger(), nullable=False),
        sa.Column("voiced", sa.BigInteger(), nullable=False),
        sa.Column("angry", sa.BigInteger(), nullable=False),
        sa.Column("disgust", sa.BigInteger(), nullable=False),
        sa.Column("fear", sa.BigInteger(), nullable=False),
        sa.Column("happy", sa.BigInteger(), nullable=False),
        sa.Column("sad", sa.BigInteger(), nullable=False),
        sa.Column("surprise", sa.BigInteger(), nullable=False),
        sa.Column("neutral", sa.BigInteger(), nullable=False),
        sa.Column("device_key", sa.BigInteger().with_variant(sa.Integer(), "sqlite"), nullable=False),
        sa.Column("step", sa.BigInteger(), nullable=False),
        sa.Column("bucket", sa.BigInteger(), nullable=False),
        sa.ForeignKeyConstraint(
            ["device_key"],
            ["devices.key"],
        ),
        sa.PrimaryKeyConstraint("device_key", "step", "bucket"),
        sqlite_with_rowid=False,
    )
    op.create_table(
        "health",
        sa.Column("uptime_s", sa.Double(), nullable=False),
        sa.Column("sources", sa.JSON(none_as_null=True), nullable=False),
        sa.Column("down", sa.BigInteger(), nullable=False),
        sa.Column("degraded", sa.BigInteger(), nullable=False),
        sa.Column("outbox_rows", sa.BigInteger(), nullable=False),
        sa.Column("outbox_dropped", sa.BigInteger(), nullable=False),
        sa.Column("memory_mb", sa.Double(), nullable=False),
        sa.Column("temperature_c", sa.Double(), nullable=True),
        sa.Column("throttled", sa.Boolean(), nullable=True),
        sa.Column("reading_p50_ms", sa.Double(), nullable=True),
        sa.Column("reading_p95_ms", sa.Double(), nullable=True),
        sa.Column("verdict_p50_ms", sa.Double(), nullable=True),
        sa.Column("verdict_p95_ms", sa.Double(), nullable=True),
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
    with op.batch_alter_table("health", schema=None) as batch_op:
        batch_op.create_index("health_device_at", ["device_key", "at"], unique=False)

    op.create_table(
        "rollups",
        sa.Column("n", sa.BigInteger(), nullable=False),
        sa.Column("perceived", sa.BigInteger(), nullable=False),
        sa.Column("with_face", sa.BigInteger(), nullable=False),
        sa.Column("with_voice", sa.BigInteger(), nullable=False),
        sa.Column("sure", sa.BigInteger(), nullable=False),
        sa.Column("asked", sa.BigInteger(), nullable=False),
        sa.Column("answered", sa.BigInteger(), nullable=False),
        sa.Column("refused", sa.BigInteger(), nullable=False),
        sa.Column("compared", sa.BigInteger(), nullable=False),
        sa.Column("agreed", sa.BigInteger(), nullable=False),
        sa.Column("confidence", sa.BigInteger(), nullable=False),
        sa.Column("latency", sa.BigInteger(), nullable=False),
        sa.Column("answering", sa.BigInteger(), nullable=False),
        sa.Column("angry", sa.BigInteger(), nullable=False),
        sa.Column("disgust", sa.BigInteger(), nullable=False),
        sa.Column("fear", sa.BigInteger(), nullable=False),
        sa.Column("happy", sa.BigInteger(), nullable=False),
        sa.Column("sad", sa.BigInteger(), nullable=False),
        sa.Column("surprise", sa.BigInteger(), nullable=False),
        sa.Column("neutral", sa.BigInteger(), nullable=False),
        sa.Column("device_key", sa.BigInteger().with_variant(sa.Integer(), "sqlite"), nullable=False),
        sa.Column("step", sa.BigInteger(), nullable=False),
        sa.Column("bucket", sa.BigInteger(), nullable=False),
        sa.ForeignKeyConstraint(
            ["device_key"],
            ["devices.key"],
        ),
        sa.PrimaryKeyConstraint("device_key", "step", "bucket"),
        sqlite_with_rowid=False,
    )
    with op.batch_alter_table("aggregates", schema=None) as batch_op:
        batch_op.add_column(sa.Column("faces", sa.BigInteger(), nullable=True))
        batch_op.add_column(sa.Column("voiced", sa.BigInteger(), nullable=True))
        batch_op.create_index("aggregates_device_at", ["device_key", "at"], unique=False)

    with op.batch_alter_table("events", schema=None) as batch_op:
        batch_op.create_index("events_device_at", ["device_key", "at"], unique=False)

    with op.batch_alter_table("verdicts", schema=None) as batch_op:
        batch_op.create_index("verdicts_device_at", ["device_key", "at"], unique=False)

    # The service adds up what is there when it starts next.
    op.execute("INSERT INTO meta (key, value) VALUES ('rollups', 'stale')")
