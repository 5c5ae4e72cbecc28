"""What queuectl costs, each figure next to something run beside it: `python -m bench`."""
