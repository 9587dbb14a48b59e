"""What networks are measured on."""
