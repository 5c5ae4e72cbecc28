"""What is put inside queuectl's processes: a disk and a clock that can be made to fail."""
