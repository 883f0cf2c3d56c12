"""The repositories over SQLAlchemy: a query each, on one transaction."""
