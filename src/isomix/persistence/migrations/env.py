"""Alembic runs this file: the migrations that are missing, on the connection that `schema.upgrade` hands over."""

from alembic import context

from isomix.persistence.tables import metadata

context.configure(
    connection=context.config.attributes["connection"],
    target_metadata=metadata,
    render_as_batch=True,  # SQLite alters tables by copying them
    transactional_ddl=True,  # on SQLite as well: a migration that fails leaves nothing
)
with context.begin_transaction():
    context.run_migrations()
