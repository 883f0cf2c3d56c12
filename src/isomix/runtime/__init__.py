"""A network, a device and a precision become a callable."""
