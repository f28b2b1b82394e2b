"""What each command does: plain values in, typed results out, progress by a callback; nothing here prints."""
