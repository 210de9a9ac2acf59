"""Training: one loop; pre-training, supervised fine-tuning and preference optimisation are values of a stage."""
