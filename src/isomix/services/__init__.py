"""The studio's verbs: each orders the ports and knows no adapter."""
