"""Self-knowledge distillation: DRG, DSR and what they are compared with.  Start reading at `losses`."""
