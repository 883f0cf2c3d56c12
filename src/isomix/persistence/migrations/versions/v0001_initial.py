"""Projects, jobs, stems, workers, usage."""

import sqlalchemy as sa
from alembic import op

revision = "0001"
down_revision = None


def upgrade() -> None:
    """Make the tables."""
    _create_projects()
    _create_jobs()
    _create_stems()
    _create_workers()
    op.create_table(
        "usage",
        sa.Column("owner", sa.Text(), nullable=False),
        sa.Column("period", sa.Text(), nullable=False),
        sa.Column("projects", sa.Integer(), nullable=False),
        sa.PrimaryKeyConstraint("owner", "period", name="pk_usage"),
    )


def _parent(table: str, column: str, target: str) -> sa.ForeignKeyConstraint:
    return sa.ForeignKeyConstraint(
        [column], [target], name=f"fk_{table}_{column}", ondelete="CASCADE", deferrable=True, initially="DEFERRED"
    )


def _create_indexes(table: str, *indexes: tuple[str, ...]) -> None:
    for columns in indexes:
        op.create_index("_".join(("ix", table, *columns)), table, list(columns))


def _create_projects() -> None:
    op.create_table(
        "projects",
        sa.Column("id", sa.Text(), nullable=False),
        sa.Column("owner", sa.Text(), nullable=False),
        sa.Column("name", sa.Text(), nullable=False),
        sa.Column("mixture_key", sa.Text(), nullable=False),
        sa.Column("mixture_kind", sa.Text(), nullable=False),
        sa.Column("mixture_size_bytes", sa.BigInteger(), nullable=False),
        sa.Column("mixture_sha256", sa.Text(), nullable=False),
        sa.Column("mixture_sample_rate", sa.Integer(), nullable=False),
        sa.Column("mixture_channels", sa.Integer(), nullable=False),
        sa.Column("mixture_duration", sa.Double()),
        sa.Column("created_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("job_id", sa.Text(), nullable=False),
        sa.Column("version", sa.Integer(), nullable=False),
        sa.PrimaryKeyConstraint("id", name="pk_projects"),
    )
    _create_indexes("projects", ("owner", "created_at", "id"), ("created_at", "id"))


def _create_jobs() -> None:
    op.create_table(
        "jobs",
        sa.Column("id", sa.Text(), nullable=False),
        sa.Column("project_id", sa.Text(), nullable=False),
        sa.Column("owner", sa.Text(), nullable=False),
        sa.Column("recipe", sa.Text(), nullable=False),
        sa.Column("fingerprint", sa.Text(), nullable=False),
        sa.Column("created_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("enqueued_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("route", sa.Text(), nullable=False),
        sa.Column("timeout_seconds", sa.Double(), nullable=False),
        sa.Column("state", sa.Text(), nullable=False),
        sa.Column("attempts", sa.Integer(), nullable=False),
        sa.Column("fence", sa.Integer(), nullable=False),
        sa.Column("worker", sa.Text(), nullable=False),
        sa.Column("lease_until", sa.DateTime(timezone=True)),
        sa.Column("started_at", sa.DateTime(timezone=True)),
        sa.Column("finished_at", sa.DateTime(timezone=True)),
        sa.Column("cancel_requested", sa.Boolean(), nullable=False),
        sa.Column("phase", sa.Text(), nullable=False),
        sa.Column("fraction", sa.Double(), nullable=False),
        sa.Column("eta_seconds", sa.Double()),
        sa.Column("playable_samples", sa.BigInteger(), nullable=False),
        sa.Column("failure", sa.Text()),
        sa.Column("outcome", sa.Text()),
        sa.Column("version", sa.Integer(), nullable=False),
        sa.PrimaryKeyConstraint("id", name="pk_jobs"),
        _parent("jobs", "project_id", "projects.id"),
    )
    _create_indexes(
        "jobs",
        ("project_id", "created_at", "id"),
        ("owner", "state"),
        ("owner", "fingerprint", "created_at"),
        ("state", "route", "created_at", "id"),
        ("state", "enqueued_at"),
        ("state", "lease_until"),
    )


def _create_stems() -> None:
    op.create_table(
        "stems",
        sa.Column("id", sa.Text(), nullable=False),
        sa.Column("project_id", sa.Text(), nullable=False),
        sa.Column("job_id", sa.Text(), nullable=False),
        sa.Column("position", sa.Integer(), nullable=False),
        sa.Column("name", sa.Text(), nullable=False),
        sa.Column("key", sa.Text(), nullable=False),
        sa.Column("peaks_key", sa.Text(), nullable=False),
        sa.Column("format", sa.Text(), nullable=False),
        sa.Column("size_bytes", sa.BigInteger(), nullable=False),
        sa.Column("sha256", sa.Text(), nullable=False),
        sa.Column("sample_rate", sa.Integer(), nullable=False),
        sa.Column("channels", sa.Integer(), nullable=False),
        sa.Column("samples", sa.BigInteger(), nullable=False),
        sa.Column("peak", sa.Double(), nullable=False),
        sa.Column("gain_db", sa.Double(), nullable=False),
        sa.PrimaryKeyConstraint("id", name="pk_stems"),
        sa.UniqueConstraint("project_id", "position", name="uq_stems_project_id_position"),
        _parent("stems", "project_id", "projects.id"),
        _parent("stems", "job_id", "jobs.id"),
    )
    _create_indexes("stems", ("job_id",))


def _create_workers() -> None:
    op.create_table(
        "workers",
        sa.Column("id", sa.Text(), nullable=False),
        sa.Column("route", sa.Text(), nullable=False),
        sa.Column("position", sa.Integer(), nullable=False),
        sa.Column("seen_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("job_id", sa.Text(), nullable=False),
        sa.PrimaryKeyConstraint("id", "route", name="pk_workers"),
    )
    _create_indexes("workers", ("seen_at",), ("route", "seen_at"))
