"""What trainers leave in a LoRA file about its training; one file per trainer, found by name."""
