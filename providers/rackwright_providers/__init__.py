"""The hands: how each platform reads and changes its resources."""
