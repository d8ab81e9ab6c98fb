"""Real trainings of a second or less."""

from trained import folder, resume, same, tiny, tiny_command, tiny_in_module, watch

__all__ = ["folder", "resume", "same", "tiny", "tiny_command", "tiny_in_module", "watch"]
