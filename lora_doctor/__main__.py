"""`python -m lora_doctor`."""

from lora_doctor.cli import main

main()
