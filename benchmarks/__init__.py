"""Speed and proof: every number the README quotes comes from a command here."""
