"""isomix separates music into stems."""
