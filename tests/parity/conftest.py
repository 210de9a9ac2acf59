"""Every test here compares a door of the corridor with transformers 5.23 on tiny random models in float32."""

import transformers

transformers.utils.logging.disable_progress_bar()
