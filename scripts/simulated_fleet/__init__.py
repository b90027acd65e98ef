"""`scripts/fleet`: many devices that are nothing but their messages, and what a cloud makes of them."""
