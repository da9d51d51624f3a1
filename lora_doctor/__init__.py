"""lora-doctor: the check-up a character LoRA passes before it is released."""

__version__ = "0.1.0"
